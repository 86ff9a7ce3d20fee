-- Replaces a value if it still is the expected one. KEYS: key. ARGV: is there one, expected, new
local value = redis.call('GET', KEYS[1])
if ARGV[1] == '0' and value then return 0 end
if ARGV[1] == '1' and value ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[1], ARGV[3])
return 1
