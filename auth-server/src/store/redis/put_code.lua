-- Writes a code. KEYS: code. ARGV: record, expiry, when it is forgotten
redis.call('HSET', KEYS[1], 'r', ARGV[1], 'x', ARGV[2])
redis.call('PEXPIREAT', KEYS[1], ARGV[3])
return 1
