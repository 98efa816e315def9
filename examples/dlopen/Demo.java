// steadfast from Java, by JNA: java Demo demo DIRECTORY | increment LOCK STATE N
import com.sun.jna.Library;
import com.sun.jna.Native;
import com.sun.jna.Pointer;
import com.sun.jna.Structure;
import com.sun.jna.ptr.PointerByReference;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

public final class Demo {
    /** size_t: as wide as a pointer. */
    public static final class SizeT extends com.sun.jna.IntegerType {
        private static final long serialVersionUID = 1;
        public SizeT() { this(0); }
        public SizeT(long value) { super(Native.SIZE_T_SIZE, value, true); }
    }

    /** What every struct begins with. */
    public static abstract class Sized extends Structure {
        public SizeT size = new SizeT();

        @Override
        public void write() {
            size.setValue(size());
            super.write();
        }
    }

    @Structure.FieldOrder({"size", "status", "os_error", "step", "on_disk", "generation", "pid", "message"})
    public static final class Report extends Sized {
        public int status, os_error, step, on_disk;
        public long generation, pid;
        public byte[] message = new byte[216];
    }

    @Structure.FieldOrder({"size", "flags", "mode", "schema", "reserved", "expected_generation", "timeout_ms"})
    public static final class SaveOptions extends Sized {
        public int flags, mode, schema, reserved;
        public long expected_generation;
        public long timeout_ms;
    }

    @Structure.FieldOrder({"size", "data", "len", "generation", "saved_at_ns", "schema", "source", "sha256"})
    public static final class State extends Sized {
        public Pointer data;
        public SizeT len;
        public long generation, saved_at_ns;
        public int schema, source;
        public byte[] sha256 = new byte[32];
    }

    public interface Steadfast extends Library {
        Steadfast C = Native.load("libsteadfast.so.0", Steadfast.class);
        int SAVE_STRICT = 1, SAVE_KEEP_PREVIOUS = 2, SAVE_IF_GENERATION = 4, SAVE_ALTERNATE = 32;

        String steadfast_status_name(int status);
        int steadfast_state_save(Pointer context, String path, byte[] data, SizeT len, SaveOptions options, Report report);
        int steadfast_state_load(Pointer context, String path, Pointer options, State out, Report report);
        void steadfast_state_free(State state);
        int steadfast_lock_acquire(Pointer context, String path, long timeoutMs, Pointer options, PointerByReference out, Report report);
        int steadfast_lock_release(Pointer lock, Report report);
    }

    public static final class SteadfastException extends java.io.IOException {
        private static final long serialVersionUID = 1;
        public final int code;
        public final String name;

        SteadfastException(int code, Report report) {
            super(Steadfast.C.steadfast_status_name(code) + " (" + code + "): " + Native.toString(report.message, "UTF-8"));
            this.code = code;
            this.name = Steadfast.C.steadfast_status_name(code);
        }
    }

    static int check(int status, Report report) throws SteadfastException {
        if (status < 0) {
            throw new SteadfastException(status, report);
        }
        return status;
    }

    /** Returns the generation. */
    static long save(String path, byte[] data, SaveOptions options) throws SteadfastException {
        Report report = new Report();
        check(Steadfast.C.steadfast_state_save(null, path, data, new SizeT(data.length), options, report), report);
        return report.generation;
    }

    record Loaded(byte[] data, long generation) {}

    static Loaded load(String path) throws SteadfastException {
        Report report = new Report();
        State state = new State();
        check(Steadfast.C.steadfast_state_load(null, path, null, state, report), report);
        try {
            return new Loaded(state.data.getByteArray(0, state.len.intValue()), state.generation);
        } finally {
            Steadfast.C.steadfast_state_free(state);
        }
    }

    /** Held until closed. */
    static final class Lock implements AutoCloseable {
        private Pointer lock;

        Lock(String path, long timeoutMs) throws SteadfastException {
            Report report = new Report();
            PointerByReference out = new PointerByReference();
            check(Steadfast.C.steadfast_lock_acquire(null, path, timeoutMs, null, out, report), report);
            lock = out.getValue();
        }

        @Override
        public void close() throws SteadfastException {
            Pointer mine = lock;
            lock = null;
            Report report = new Report();
            check(Steadfast.C.steadfast_lock_release(mine, report), report);
        }
    }

    static void demo(String directory) throws Exception {
        String path = directory + "/app.state";
        save(path, "{\"jobs\": 3}".getBytes(StandardCharsets.UTF_8), null);
        Loaded loaded = load(path);
        System.out.println("generation " + loaded.generation() + ": " + new String(loaded.data(), StandardCharsets.UTF_8));
        try (Lock lock = new Lock(directory + "/app.lock", 200)) {
            System.out.print("locked by " + Files.readString(Path.of(directory, "app.lock")));
        }
        SaveOptions options = new SaveOptions();
        options.flags = Steadfast.SAVE_IF_GENERATION;
        options.expected_generation = 99;
        try {
            save(path, new byte[0], options);
        } catch (SteadfastException e) {
            System.out.println(e.getMessage());
        }
    }

    static void increment(String lockPath, String path, int times) throws Exception {
        for (int i = 0; i < times; i++) {
            try (Lock lock = new Lock(lockPath, 60_000)) {
                long value = 0;
                try {
                    value = Long.parseLong(new String(load(path).data(), StandardCharsets.US_ASCII));
                } catch (SteadfastException e) {
                    if (!e.name.equals("ENOENT")) {
                        throw e;
                    }
                }
                save(path, Long.toString(value + 1).getBytes(StandardCharsets.US_ASCII), null);
            }
        }
    }

    public static void main(String[] args) throws Exception {
        try {
            switch (args[0]) {
                case "demo" -> demo(args[1]);
                case "increment" -> increment(args[1], args[2], Integer.parseInt(args[3]));
                default -> throw new IllegalArgumentException(args[0]);
            }
        } catch (SteadfastException e) {
            System.err.println(e.getMessage());
            System.exit(1);
        }
    }
}
