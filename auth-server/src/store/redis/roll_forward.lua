-- Takes up a generation that was issued and then lost. KEYS: family.
-- ARGV: generation and nonce it must stand at, generation and nonce to take up, issued
local f = redis.call('HMGET', KEYS[1], 'st', 'g', 'n', 'ie', 'id', 'ab')
if f[1] ~= 'A' or f[2] ~= ARGV[1] or f[3] ~= ARGV[2] then return 0 end
local idle = math.min(math.max(tonumber(f[4]), tonumber(ARGV[5]) + tonumber(f[5])), tonumber(f[6]))
redis.call('HSET', KEYS[1], 'g', ARGV[3], 'n', ARGV[4], 'cf', '0', 'rp', '0', 'hi', '',
  'ie', string.format('%.0f', idle))
return 1
