-- Takes up a generation that was issued and then lost. KEYS: family.
-- ARGV: generation and nonce it must stand at, generation and nonce to take up, issued, context
local f = redis.call('GETRANGE', KEYS[1], 0, 132)
if #f < 133 then return 0 end
local revoked, _, cur, held, idle_expiry, contested, used, _, count =
  struct.unpack('>BBI4c16I6I6I6I4B', f, 2)
if revoked == 1 or cur ~= tonumber(ARGV[1]) or held ~= ARGV[2] then return 0 end
local to, issued = tonumber(ARGV[3]), tonumber(ARGV[5])
local absolute, created, idle, _, flags = struct.unpack('>I6I6I6c4B', f, 111)
if math.floor(flags / 2) % 2 == 0 then
  idle_expiry = math.min(math.max(idle_expiry, issued + idle), absolute)
end
local latest = count > 0 and struct.unpack('>I6', f, 47) or created
local lost = math.min(to - cur, 8)
local began = struct.pack('>I6I2', math.max(issued, latest), tonumber(ARGV[6]))
local rotations = string.sub(string.rep(began, lost) .. string.sub(f, 47, 110), 1, 64)
redis.call('SETRANGE', KEYS[1], 2, struct.pack('>BI4c16I6I6I6I4B', 0, to, ARGV[4], idle_expiry,
  contested, math.max(used, issued), 0, math.min(count + lost, 8)) .. rotations)
return 1
