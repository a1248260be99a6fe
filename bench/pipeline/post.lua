-- Sends the bodies of a file, one after the other, again and again. The file holds each as its length in decimal,
-- a line break, and its bytes. A second argument is the pause before each request, in milliseconds on average.
local requests = {}
local at = 0

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  local headers = { ["Content-Type"] = "application/json" }
  while true do
    local length = file:read("*l")
    if not length then break end
    requests[#requests + 1] = wrk.format("POST", "/logs", headers, file:read(tonumber(length)))
  end
  file:close()
  local pause = tonumber(arguments[2])
  if pause then
    -- wrk asks for it where it is defined.
    function delay()
      return math.random(0, math.floor(2 * pause + 0.5))
    end
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end
