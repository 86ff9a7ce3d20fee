-- Writes a value. KEYS: key. ARGV: value, when it is forgotten (0: never)
if ARGV[2] == '0' then redis.call('SET', KEYS[1], ARGV[1])
else redis.call('SET', KEYS[1], ARGV[1], 'PXAT', ARGV[2]) end
return 1
