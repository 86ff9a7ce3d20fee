-- Revokes a family; repeating it is harmless. KEYS: family
local revoked = redis.call('GETRANGE', KEYS[1], 1, 1)
if revoked == '' then return 0 end
redis.call('SETRANGE', KEYS[1], 1, '\1')
return revoked == '\0' and 1 or 0
