-- Notes a receipt; never creates. KEYS: family. ARGV: generation
local f = redis.call('HMGET', KEYS[1], 'st', 'g', 'cf')
if f[1] == 'A' and f[2] == ARGV[1] and f[3] == '0' then redis.call('HSET', KEYS[1], 'cf', '1') end
return 1
