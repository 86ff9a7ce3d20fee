-- Spends a code and creates its family. Until `settle_code` the code is pending: should nobody
-- know whether the family will last, the client's next try gets the same one.
-- KEYS: code, family. ARGV: now, how long the code is remembered, when the family is forgotten,
--       the family, how long one try may take, how late another may come
local code = redis.call('HMGET', KEYS[1], 'x', 'u', 's')
if not code[1] then return {'gone'} end
local now = tonumber(ARGV[1])
if code[2] then
  if code[3] == 'settled' then return {'again', code[2]} end
  local age = now - tonumber(code[2])
  if age > tonumber(ARGV[6]) then return {'again', code[2]} end
  if code[3] ~= 'free' and age < tonumber(ARGV[5]) then return {'pending'} end
  local family = redis.call('GET', KEYS[2])
  -- Not revoked, and no refresh token of it was used.
  if not family or string.sub(family, 2, 2) ~= '\0' or string.sub(family, 4, 7) ~= '\0\0\0\0' then
    return {'again', code[2]}
  end
  redis.call('HSET', KEYS[1], 'u', ARGV[1], 's', 'held')
  return {'first', family}
end
if now >= tonumber(code[1]) or redis.call('EXISTS', KEYS[2]) == 1 then return {'gone'} end
redis.call('HSET', KEYS[1], 'u', ARGV[1], 's', 'held')
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('SET', KEYS[2], ARGV[4], 'PXAT', ARGV[3])
return {'first', ARGV[4]}
