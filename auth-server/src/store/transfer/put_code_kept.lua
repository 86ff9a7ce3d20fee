-- Writes a code as it was. KEYS: code.
-- ARGV: record, expiry, misses, when it was used (may be empty), when it is forgotten
redis.call('HSET', KEYS[1], 'r', ARGV[1], 'x', ARGV[2])
if ARGV[3] ~= '0' then redis.call('HSET', KEYS[1], 'm', ARGV[3]) end
if ARGV[4] ~= '' then redis.call('HSET', KEYS[1], 'u', ARGV[4], 's', 'settled') end
redis.call('PEXPIREAT', KEYS[1], ARGV[5])
return 1
