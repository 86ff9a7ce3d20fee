-- Writes and deletes records with their notes. KEYS: list, the new ones, the others.
-- ARGV: how many are new; name, value and when it is forgotten (0: never) of each; names of the others
local new = tonumber(ARGV[1])
for i = 1, new do
  local name, value, expires = ARGV[3 * i - 1], ARGV[3 * i], ARGV[3 * i + 1]
  if expires == '0' then redis.call('SET', KEYS[i + 1], value)
  else redis.call('SET', KEYS[i + 1], value, 'PXAT', expires) end
  redis.call('ZADD', KEYS[1], 0, name)
end
for i = new + 2, #KEYS do
  redis.call('DEL', KEYS[i])
  redis.call('ZREM', KEYS[1], ARGV[2 * new + i])
end
return 1
