-- Writes or deletes a record if what is stored is as expected. KEYS: record, its list (may be left out).
-- ARGV: absent|anything|same, the same, set|delete, value, when it is forgotten (0: never), its name there
if ARGV[1] ~= 'anything' then
  local value = redis.call('GET', KEYS[1])
  if ARGV[1] == 'absent' and value then return 0 end
  if ARGV[1] == 'same' and value ~= ARGV[2] then return 0 end
end
if ARGV[3] == 'delete' then redis.call('DEL', KEYS[1])
elseif ARGV[5] == '0' then redis.call('SET', KEYS[1], ARGV[4])
else redis.call('SET', KEYS[1], ARGV[4], 'PXAT', ARGV[5]) end
if KEYS[2] and ARGV[3] == 'set' then redis.call('ZADD', KEYS[2], 0, ARGV[6])
elseif KEYS[2] then redis.call('ZREM', KEYS[2], ARGV[6]) end
return 1
