-- steadfast from LuaJIT: luajit demo.lua demo DIRECTORY | increment LOCK STATE N
local ffi = require "ffi"

-- The header, without its preprocessor lines.
local here = arg[0]:match("^(.*)/") or "."
local file = assert(io.open(here .. "/../../include/steadfast.h"))
local header = file:read("*a"):gsub("#ifdef __cplusplus.-#endif", ""):gsub("#ifndef STEADFAST_NO_INLINE.*", ""):gsub("\n#[^\n]*", "")
file:close()
ffi.cdef(header)
local C = ffi.load("libsteadfast.so.0")

local steadfast = {}

local function new(name, fields)
    local struct = ffi.new(name, fields or {})
    struct.size = ffi.sizeof(name)
    return struct
end

-- Results below zero become errors: tables with code, name and message.
local Error = { __tostring = function(e) return ("%s (%d): %s"):format(e.name, e.code, e.message) end }
local function check(status, report)
    if status >= 0 then return status end
    error(setmetatable({
        code = status, name = ffi.string(C.steadfast_status_name(status)), message = ffi.string(report.message),
    }, Error))
end

-- Returns the generation, and true if it is durable.
function steadfast.save(path, data, options)
    local report = new "steadfast_report"
    local status = check(C.steadfast_state_save(nil, path, data, #data, options and new("steadfast_save_options", options), report), report)
    return report.generation, status == C.STEADFAST_OK
end

-- Returns the payload and its generation.
function steadfast.load(path)
    local report, state = new "steadfast_report", new "steadfast_state"
    check(C.steadfast_state_load(nil, path, nil, state, report), report)
    local data, generation = ffi.string(state.data, state.len), state.generation
    C.steadfast_state_free(state)
    return data, generation
end

-- Calls body with the lock held, and releases it whatever happens.
function steadfast.with_lock(path, timeout_ms, body)
    local report, out = new "steadfast_report", ffi.new "steadfast_lock *[1]"
    check(C.steadfast_lock_acquire(nil, path, timeout_ms, nil, out, report), report)
    local ok, result = pcall(body)
    local status = C.steadfast_lock_release(out[0], report)
    if not ok then error(result, 0) end
    check(status, report)
    return result
end

local function demo(directory)
    local path = directory .. "/app.state"
    steadfast.save(path, '{"jobs": 3}')
    local data, generation = steadfast.load(path)
    print(("generation %d: %s"):format(tonumber(generation), data))
    steadfast.with_lock(directory .. "/app.lock", 200, function()
        print("locked by " .. io.open(directory .. "/app.lock"):read("*l"))
    end)
    local _, problem = pcall(steadfast.save, path, "", { flags = C.STEADFAST_SAVE_IF_GENERATION, expected_generation = 99 })
    print(problem)
end

local function increment(lock, path, times)
    for _ = 1, times do
        steadfast.with_lock(lock, 60000, function()
            local ok, value = pcall(steadfast.load, path)
            if not ok and value.name ~= "ENOENT" then error(value) end
            steadfast.save(path, ("%d"):format(ok and value + 1 or 1))
        end)
    end
end

local ok, problem = pcall(({ demo = demo, increment = increment })[arg[1]], unpack(arg, 2))
if not ok then
    io.stderr:write(tostring(problem), "\n")
    os.exit(1)
end
