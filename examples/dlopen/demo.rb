# steadfast from Ruby: ruby demo.rb demo DIRECTORY | increment LOCK STATE N
require "fiddle/import"

module Steadfast
  extend Fiddle::Importer
  dlload "libsteadfast.so.0"

  Report = struct ["size_t size", "int32_t status", "int32_t os_error", "int32_t step", "int32_t on_disk",
                   "uint64_t generation", "int64_t pid", "char message[216]"]
  SaveOptions = struct ["size_t size", "uint32_t flags", "uint32_t mode", "uint32_t schema", "uint32_t reserved",
                        "uint64_t expected_generation", "int64_t timeout_ms"]
  State = struct ["size_t size", "void *data", "size_t len", "uint64_t generation", "int64_t saved_at_ns",
                  "uint32_t schema", "uint32_t source", "uint8_t sha256[32]"]
  SAVE_STRICT = 1
  SAVE_KEEP_PREVIOUS = 2
  SAVE_IF_GENERATION = 4
  SAVE_ALTERNATE = 32

  extern "const char *steadfast_status_name(int32_t)"
  extern "int32_t steadfast_state_save(void *, const char *, const char *, size_t, void *, void *)"
  extern "int32_t steadfast_state_load(void *, const char *, void *, void *, void *)"
  extern "void steadfast_state_free(void *)"
  extern "int32_t steadfast_lock_acquire(void *, const char *, int64_t, void *, void *, void *)"
  extern "int32_t steadfast_lock_release(void *, void *)"

  class Error < StandardError
    attr_reader :code, :name

    def initialize(code, message)
      @code, @name = code, Steadfast.steadfast_status_name(code).to_s
      super("#{@name} (#{code}): #{message}")
    end
  end

  module_function

  # Returns the generation.
  def save(path, data, flags: 0, expected_generation: 0)
    options = make(SaveOptions, flags: flags, expected_generation: expected_generation)
    report = make(Report)
    check(steadfast_state_save(nil, path, data, data.bytesize, options, report), report)
    report.generation
  end

  # Returns the payload and its generation.
  def load(path)
    state, report = make(State), make(Report)
    check(steadfast_state_load(nil, path, nil, state, report), report)
    [state.data[0, state.len], state.generation]
  ensure
    steadfast_state_free(state)
  end

  # Runs the block with the lock held.
  def lock(path, timeout_ms)
    report = make(Report)
    out = Fiddle::Pointer.malloc(Fiddle::SIZEOF_VOIDP, Fiddle::RUBY_FREE)
    check(steadfast_lock_acquire(nil, path, timeout_ms, nil, out, report), report)
    begin
      yield
    ensure
      check(steadfast_lock_release(out.ptr, report), report)
    end
  end

  def make(type, **fields)
    memory = type.malloc(Fiddle::RUBY_FREE)
    memory.to_ptr[0, type.size] = "\0" * type.size
    { size: type.size, **fields }.each { |name, value| memory[name.to_s] = value }
    memory
  end

  def check(status, report)
    raise Error.new(status, report.message.pack("c*").unpack1("Z*").force_encoding("UTF-8")) if status < 0
  end
end

def demo(directory)
  path = "#{directory}/app.state"
  Steadfast.save(path, '{"jobs": 3}')
  data, generation = Steadfast.load(path)
  puts "generation #{generation}: #{data}"
  Steadfast.lock("#{directory}/app.lock", 200) { puts "locked by #{File.read("#{directory}/app.lock")}" }
  begin
    Steadfast.save(path, "", flags: Steadfast::SAVE_IF_GENERATION, expected_generation: 99)
  rescue Steadfast::Error => e
    puts e.message
  end
end

def increment(lock, path, times)
  times.to_i.times do
    Steadfast.lock(lock, 60_000) do
      value = begin
        Steadfast.load(path).first.to_i
      rescue Steadfast::Error => e
        raise unless e.name == "ENOENT"
        0
      end
      Steadfast.save(path, (value + 1).to_s)
    end
  end
end

begin
  case ARGV.shift
  when "demo" then demo(*ARGV)
  when "increment" then increment(*ARGV)
  else abort "usage: demo.rb demo|increment ..."
  end
rescue Steadfast::Error => e
  abort e.message
end
