-- A code with what happened to it, and when it is forgotten. KEYS: code
local f = redis.call('HMGET', KEYS[1], 'r', 'u', 'm')
return {f[1], f[2], f[3], redis.call('PEXPIRETIME', KEYS[1])}
