-- Revokes a family; repeating it is harmless. KEYS: family
local status = redis.call('HGET', KEYS[1], 'st')
if not status then return 0 end
redis.call('HSET', KEYS[1], 'st', 'R')
return status == 'A' and 1 or 0
