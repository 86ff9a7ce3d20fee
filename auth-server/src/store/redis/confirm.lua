-- Takes note of a call; never creates. KEYS: family. ARGV: generation, now, how exactly it is known
local f = redis.call('GETRANGE', KEYS[1], 0, 132)
if #f < 133 then return 0 end
local revoked, confirmed, cur = struct.unpack('>BBI4', f, 2)
local gen, now = tonumber(ARGV[1]), tonumber(ARGV[2])
local idle_expiry, contested, used = struct.unpack('>I6I6I6', f, 24)
if revoked == 1 or gen > cur or now >= idle_expiry then return 0 end
if gen == cur and confirmed == 0 then redis.call('SETRANGE', KEYS[1], 2, '\1') end
local exactly = tonumber(ARGV[3])
local absolute, created, idle, _, flags = struct.unpack('>I6I6I6c4B', f, 111)
local expiry, is_later = math.min(now + idle, absolute), now >= used + exactly
local extends = math.floor(flags / 2) % 2 == 1 and expiry >= idle_expiry + exactly
if is_later or extends then
  redis.call('SETRANGE', KEYS[1], 23, struct.pack('>I6I6I6', extends and expiry or idle_expiry,
    contested, is_later and now or used))
end
return 1
