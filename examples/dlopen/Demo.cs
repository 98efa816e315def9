// steadfast from C#: mono Demo.exe demo DIRECTORY | increment LOCK STATE N
using System;
using System.IO;
using System.Runtime.InteropServices;
using System.Text;

static class Native
{
    const string Library = "libsteadfast.so.0";

    [StructLayout(LayoutKind.Sequential)]
    public struct Report
    {
        public UIntPtr size;
        public int status, os_error, step, on_disk;
        public ulong generation;
        public long pid;
        [MarshalAs(UnmanagedType.ByValArray, SizeConst = 216)] public byte[] message;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct SaveOptions
    {
        public UIntPtr size;
        public uint flags, mode, schema, reserved;
        public ulong expected_generation;
        public long timeout_ms;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct State
    {
        public UIntPtr size;
        public IntPtr data;
        public UIntPtr len;
        public ulong generation;
        public long saved_at_ns;
        public uint schema, source;
        [MarshalAs(UnmanagedType.ByValArray, SizeConst = 32)] public byte[] sha256;
    }

    // Paths go as UTF-8 with a NUL: what Path() makes of a string.
    [DllImport(Library)] public static extern IntPtr steadfast_status_name(int status);
    [DllImport(Library)] public static extern int steadfast_state_save(IntPtr context, byte[] path, byte[] data, UIntPtr len, ref SaveOptions options, ref Report report);
    [DllImport(Library)] public static extern int steadfast_state_load(IntPtr context, byte[] path, IntPtr options, ref State state, ref Report report);
    [DllImport(Library)] public static extern void steadfast_state_free(ref State state);
    [DllImport(Library)] public static extern int steadfast_lock_acquire(IntPtr context, byte[] path, long timeoutMs, IntPtr options, out IntPtr heldLock, ref Report report);
    [DllImport(Library)] public static extern int steadfast_lock_release(IntPtr heldLock, ref Report report);

    public static UIntPtr SizeOf<T>() { return (UIntPtr)(uint)Marshal.SizeOf(typeof(T)); }
    public static Report NewReport() { return new Report { size = SizeOf<Report>() }; }
    public static byte[] Path(string path) { return Encoding.UTF8.GetBytes(path + "\0"); }
}

public sealed class SteadfastException : IOException
{
    public int Code { get; private set; }
    public string Name { get; private set; }

    SteadfastException(int code, string name, string message) : base(name + " (" + code + "): " + message)
    {
        Code = code;
        Name = name;
    }

    internal static int Check(int status, Native.Report report)
    {
        if (status >= 0) return status;
        int end = Array.IndexOf(report.message, (byte)0);
        throw new SteadfastException(status, Marshal.PtrToStringAnsi(Native.steadfast_status_name(status)), Encoding.UTF8.GetString(report.message, 0, end));
    }
}

public static class StateFile
{
    public const uint Strict = 1, KeepPrevious = 2, IfGeneration = 4, Alternate = 32;

    // Returns the generation.
    public static ulong Save(string path, byte[] data, uint flags = 0, ulong expectedGeneration = 0)
    {
        var report = Native.NewReport();
        var options = new Native.SaveOptions { size = Native.SizeOf<Native.SaveOptions>(), flags = flags, expected_generation = expectedGeneration };
        SteadfastException.Check(Native.steadfast_state_save(IntPtr.Zero, Native.Path(path), data, (UIntPtr)(ulong)data.Length, ref options, ref report), report);
        return report.generation;
    }

    public static byte[] Load(string path, out ulong generation)
    {
        var report = Native.NewReport();
        var state = new Native.State { size = Native.SizeOf<Native.State>() };
        SteadfastException.Check(Native.steadfast_state_load(IntPtr.Zero, Native.Path(path), IntPtr.Zero, ref state, ref report), report);
        try
        {
            var data = new byte[(int)state.len];
            Marshal.Copy(state.data, data, 0, data.Length);
            generation = state.generation;
            return data;
        }
        finally
        {
            Native.steadfast_state_free(ref state);
        }
    }
}

// Held until disposed.
public sealed class FileLock : IDisposable
{
    IntPtr held;

    public long Pid { get; private set; }

    public FileLock(string path, long timeoutMs)
    {
        var report = Native.NewReport();
        SteadfastException.Check(Native.steadfast_lock_acquire(IntPtr.Zero, Native.Path(path), timeoutMs, IntPtr.Zero, out held, ref report), report);
        Pid = report.pid;
    }

    public void Dispose()
    {
        var report = Native.NewReport();
        var mine = held;
        held = IntPtr.Zero;
        SteadfastException.Check(Native.steadfast_lock_release(mine, ref report), report);
    }
}

static class Demo
{
    static void Show(string directory)
    {
        var path = directory + "/app.state";
        StateFile.Save(path, Encoding.UTF8.GetBytes("{\"jobs\": 3}"));
        ulong generation;
        var data = StateFile.Load(path, out generation);
        Console.WriteLine("generation " + generation + ": " + Encoding.UTF8.GetString(data));
        using (var held = new FileLock(directory + "/app.lock", 200))
            Console.WriteLine("locked by " + held.Pid);
        try
        {
            StateFile.Save(path, new byte[0], StateFile.IfGeneration, expectedGeneration: 99);
        }
        catch (SteadfastException e)
        {
            Console.WriteLine(e.Message);
        }
    }

    static void Increment(string lockPath, string path, int times)
    {
        for (int i = 0; i < times; i++)
            using (new FileLock(lockPath, 60000))
            {
                long value = 0;
                ulong generation;
                try
                {
                    value = long.Parse(Encoding.ASCII.GetString(StateFile.Load(path, out generation)));
                }
                catch (SteadfastException e) when (e.Name == "ENOENT")
                {
                }
                StateFile.Save(path, Encoding.ASCII.GetBytes((value + 1).ToString()));
            }
    }

    static int Main(string[] args)
    {
        try
        {
            if (args[0] == "demo") Show(args[1]);
            else if (args[0] == "increment") Increment(args[1], args[2], int.Parse(args[3]));
            else return 2;
            return 0;
        }
        catch (SteadfastException e)
        {
            Console.Error.WriteLine(e.Message);
            return 1;
        }
    }
}
