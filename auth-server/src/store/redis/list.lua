-- The keys of a kind that begin with a prefix and come after one. KEYS: list.
-- ARGV: prefix, after (may be empty), how many
local from = '-'
if ARGV[1] ~= '' then from = '[' .. ARGV[1] end
if ARGV[2] ~= '' then from = '(' .. ARGV[2] end
local to = '+'
if ARGV[1] ~= '' then to = '[' .. ARGV[1] .. '\255' end
return redis.call('ZRANGEBYLEX', KEYS[1], from, to, 'LIMIT', 0, ARGV[3])
