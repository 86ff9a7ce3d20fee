-- Spends a code and creates its family. KEYS: code, family.
-- ARGV: now, how long the code is remembered, when the family is forgotten, then the family's
--       fields and values
local code = redis.call('HMGET', KEYS[1], 'x', 'u')
if not code[1] then return {'gone'} end
if code[2] then return {'again', code[2]} end
if tonumber(ARGV[1]) >= tonumber(code[1]) or redis.call('EXISTS', KEYS[2]) == 1 then return {'gone'} end
redis.call('HSET', KEYS[1], 'u', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('HSET', KEYS[2], unpack(ARGV, 4))
redis.call('PEXPIREAT', KEYS[2], ARGV[3])
return {'first'}
