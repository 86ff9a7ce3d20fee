-- Takes up a generation that was issued and then lost. KEYS: family.
-- ARGV: generation and nonce it must stand at, generation and nonce to take up, issued, context
local f = redis.call('HMGET', KEYS[1], 'st', 'g', 'n', 'ie', 'id', 'ab', 'hi', 'cr')
if f[1] ~= 'A' or f[2] ~= ARGV[1] or f[3] ~= ARGV[2] then return 0 end
local idle = math.min(math.max(tonumber(f[4]), tonumber(ARGV[5]) + tonumber(f[5])), tonumber(f[6]))
local latest = tonumber(string.match(f[7], '^(%d+)') or f[8])
local began = string.format('%.0f', math.max(tonumber(ARGV[5]), latest)) .. ':' .. ARGV[6]
local history = {}
for _ = 1, math.min(tonumber(ARGV[3]) - tonumber(ARGV[1]), 8) do history[#history + 1] = began end
for entry in string.gmatch(f[7], '[^,]+') do
  if #history < 8 then history[#history + 1] = entry end
end
redis.call('HSET', KEYS[1], 'g', ARGV[3], 'n', ARGV[4], 'cf', '0', 'rp', '0',
  'hi', table.concat(history, ','), 'ie', string.format('%.0f', idle))
return 1
