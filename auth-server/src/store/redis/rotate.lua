-- The twin of rules::rotation::step. KEYS: family.
-- ARGV: generation, nonce, next, issued, client, context, now, trust the caller's clock,
--       grace, lost, most replays, soft, strict
local names = {'st','cl','g','n','ab','ie','id','ro','cf','rp','ct','cr','hi','mk','gr'}
local f = redis.call('HMGET', KEYS[1], unpack(names))
if not f[1] then return {'missing'} end
local v = {}
for i, name in ipairs(names) do v[name] = f[i] end
local gen, nonce, nxt = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local issued, now = tonumber(ARGV[4]), tonumber(ARGV[7])
if ARGV[8] == '0' then
  local t = redis.call('TIME')
  local server = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
  if math.abs(server - now) > 30000 then return {'skew'} end
  now = server
end
local grace, lost, most, soft = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])
local times, contexts = {}, {}
for at, context in string.gmatch(v.hi, '(%d+):(%d+)') do
  times[#times + 1] = tonumber(at)
  contexts[#contexts + 1] = tonumber(context)
end
local cur, created, absolute, idle_expiry, idle =
  tonumber(v.g), tonumber(v.cr), tonumber(v.ab), tonumber(v.ie), tonumber(v.id)
now = math.max(now, times[1] or created)
local function whole(number) return string.format('%.0f', number) end
local function set(name, value)
  v[name] = value
  redis.call('HSET', KEYS[1], name, value)
end
local function answer(step)
  local reply = {step}
  for _, name in ipairs(names) do reply[#reply + 1] = v[name] end
  return reply
end
local function spent()
  local behind = cur - gen
  if behind == 1 and nxt ~= v.n then return 'forged' end
  local superseded, context = times[behind], contexts[behind]
  local age = math.max(0, now - (superseded or times[#times] or created))
  if superseded and age <= grace then
    if tonumber(v.rp) >= most then return 'busy' end
    set('rp', whole(tonumber(v.rp) + 1))
    return 'replayed'
  end
  if v.ct ~= '0' then lost = 0 end
  if behind == 1 and v.cf == '0' and age <= lost then
    set('rp', whole(tonumber(v.rp) + 1))
    return 'replayed'
  end
  local elsewhere = false
  if context then
    local mine = tonumber(ARGV[6])
    elsewhere = math.floor(context / 256) ~= math.floor(mine / 256) and context % 256 ~= mine % 256
  end
  if ARGV[13] == '1' or elsewhere or age > soft then
    set('st', 'R')
    return 'reuse'
  end
  set('ct', whole(now))
  return 'stale'
end
if v.st ~= 'A' then return answer('revoked') end
if v.cl ~= ARGV[5] then return answer('wrong_client') end
local expiry = idle_expiry
if gen > cur then expiry = math.max(idle_expiry, issued + idle) end
if now >= absolute or now >= expiry then return answer('expired') end
if gen > cur then return answer('ahead') end
if gen < cur then return answer(spent()) end
if nonce ~= v.n then return answer('forged') end
set('ie', whole(math.min(now + idle, absolute)))
if v.ro == '0' then return answer('kept') end
set('cf', '0')
set('g', whole(cur + 1))
set('n', nxt)
set('rp', '0')
local history = {whole(now) .. ':' .. ARGV[6]}
for i = 1, math.min(#times, 7) do history[#history + 1] = whole(times[i]) .. ':' .. whole(contexts[i]) end
set('hi', table.concat(history, ','))
return answer('rotated')
