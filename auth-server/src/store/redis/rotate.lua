-- The twin of rules::rotation::step; family.rs tells what stands where. KEYS: family.
-- ARGV: client; and packed: generation, nonce, next, issued, context, now, trust the caller's clock,
--       grace, lost, most replays, soft, strict, proof. Answers with the step, a space and the family
local key = KEYS[1]
local f = redis.call('GET', key)
if not f then return 'missing ' end
local gen, nonce, nxt, issued, context, now, trust, grace, forgiven, most, soft, strict, proof =
  struct.unpack('>I4c16c16I6I2I6BI6I6I4I6BB', ARGV[2])
if trust == 0 then
  local t = redis.call('TIME')
  local server = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
  if math.abs(server - now) > 30000 then return 'skew ' end
  now = server
end
local revoked, confirmed, cur, held, idle_expiry, contested, used, replays, count =
  struct.unpack('>BBI4c16I6I6I6I4B', f, 2)
local absolute, created, idle, _, flags = struct.unpack('>I6I6I6c4B', f, 111)
local length = struct.unpack('>I2', f, 152)
local by_call, rotates = math.floor(flags / 2) % 2 == 1, flags % 2 == 1
local rotations = string.sub(f, 47, 110)
-- When the generation began that came `back` before the current one, and from where.
local function began(back) return struct.unpack('>I6I2', f, 47 + 8 * back) end
now = math.max(now, count > 0 and began(0) or created)
local function answer(step)
  return step .. ' ' .. f
end
-- Writes what can change and answers with the family as it is then.
local function change(step)
  local head = struct.pack('>BBI4c16I6I6I6I4B', revoked, confirmed, cur, held, idle_expiry,
    contested, used, replays, count) .. rotations
  redis.call('SETRANGE', key, 1, head)
  f = string.sub(f, 1, 1) .. head .. string.sub(f, 111)
  return answer(step)
end
if string.sub(f, 154, 153 + length) ~= ARGV[1] then return answer('wrong_client') end
if revoked == 1 then return answer('revoked') end
if flags % 16 - flags % 4 ~= proof then return answer('wrong_proof') end
local expiry = idle_expiry
if gen > cur and not by_call then expiry = math.max(expiry, issued + idle) end
if now >= absolute or now >= expiry then return answer('expired') end
if gen > cur then return answer('ahead') end
if gen == cur then
  if nonce ~= held then return answer('forged') end
  used = math.max(used, now)
  if not by_call then idle_expiry = math.min(now + idle, absolute) end
  if not rotates then return change('kept') end
  confirmed, cur, held, replays = 0, cur + 1, nxt, 0
  count = math.min(count + 1, 8)
  rotations = struct.pack('>I6I2', now, context) .. string.sub(rotations, 1, 56)
  return change('rotated')
end
-- A token that was spent before.
local behind = cur - gen
if behind == 1 and nxt ~= held then return answer('forged') end
local superseded, from
if behind <= count then superseded, from = began(behind - 1) end
local age = math.max(0, now - (superseded or (count > 0 and began(count - 1)) or created))
if superseded and age <= grace then
  if replays >= most then return answer('busy') end
  replays = replays + 1
  return change('replayed')
end
local lost = contested > 0 and 0 or math.min(forgiven, idle)
if behind == 1 and confirmed == 0 and age <= lost then
  replays = replays + 1
  return change('replayed')
end
local elsewhere = from and math.floor(from / 256) ~= math.floor(context / 256)
  and from % 256 ~= context % 256
if strict == 1 or elsewhere or age > soft then
  revoked = 1
  return change('reuse')
end
contested = now
return change('stale')
