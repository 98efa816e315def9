<?php
// steadfast from PHP: php demo.php demo DIRECTORY | increment LOCK STATE N
declare(strict_types=1);

final class SteadfastError extends RuntimeException
{
    public function __construct(public readonly string $name, int $code, string $message)
    {
        parent::__construct("$name ($code): $message", $code);
    }
}

final class Steadfast
{
    private FFI $c;

    public function __construct(string $header, string $library = 'libsteadfast.so.0')
    {
        // The header, without its preprocessor lines.
        $this->c = FFI::cdef(preg_replace(
            ['/#ifdef __cplusplus.*?#endif/s', '/#ifndef STEADFAST_NO_INLINE.*/s', '/^#.*/m'], '', file_get_contents($header)), $library);
    }

    /** Returns the generation. */
    public function save(string $path, string $data, ?int $ifGeneration = null): int
    {
        $options = $this->struct('steadfast_save_options');
        if ($ifGeneration !== null) {
            $options->flags = $this->c->STEADFAST_SAVE_IF_GENERATION;
            $options->expected_generation = $ifGeneration;
        }
        $report = $this->struct('steadfast_report');
        $this->check($this->c->steadfast_state_save(
            null, $path, $data, strlen($data), FFI::addr($options), FFI::addr($report)), $report);
        return $report->generation;
    }

    /** Returns [payload, generation]. */
    public function load(string $path): array
    {
        $state = $this->struct('steadfast_state');
        $report = $this->struct('steadfast_report');
        $this->check($this->c->steadfast_state_load(null, $path, null, FFI::addr($state), FFI::addr($report)), $report);
        try {
            return [FFI::string($state->data, $state->len), $state->generation];
        } finally {
            $this->c->steadfast_state_free(FFI::addr($state));
        }
    }

    /** Calls $body with the lock held; returns what it returns. */
    public function withLock(string $path, int $timeoutMs, callable $body): mixed
    {
        $lock = $this->c->new('steadfast_lock *');
        $report = $this->struct('steadfast_report');
        $this->check($this->c->steadfast_lock_acquire(null, $path, $timeoutMs, null, FFI::addr($lock), FFI::addr($report)), $report);
        try {
            return $body();
        } finally {
            $this->check($this->c->steadfast_lock_release($lock, FFI::addr($report)), $report);
        }
    }

    private function struct(string $type): FFI\CData
    {
        $struct = $this->c->new($type);
        $struct->size = FFI::sizeof($struct);
        return $struct;
    }

    private function check(int $status, FFI\CData $report): void
    {
        if ($status < 0) {
            throw new SteadfastError($this->c->steadfast_status_name($status), $status, FFI::string($report->message));
        }
    }
}

function demo(Steadfast $steadfast, string $directory): void
{
    $steadfast->save("$directory/app.state", '{"jobs": 3}');
    [$data, $generation] = $steadfast->load("$directory/app.state");
    echo "generation $generation: $data\n";
    $steadfast->withLock("$directory/app.lock", 200, function () use ($directory) {
        echo 'locked by ', file_get_contents("$directory/app.lock");
    });
    try {
        $steadfast->save("$directory/app.state", '', ifGeneration: 99);
    } catch (SteadfastError $e) {
        echo $e->getMessage(), "\n";
    }
}

function increment(Steadfast $steadfast, string $lock, string $path, string $times): void
{
    for ($i = 0; $i < (int)$times; $i++) {
        $steadfast->withLock($lock, 60000, function () use ($steadfast, $path) {
            try {
                [$value] = $steadfast->load($path);
            } catch (SteadfastError $e) {
                $value = $e->name === 'ENOENT' ? 0 : throw $e;
            }
            $steadfast->save($path, (string)((int)$value + 1));
        });
    }
}

$steadfast = new Steadfast(__DIR__ . '/../../include/steadfast.h');
try {
    [, $command] = $argv;
    $run = match ($command) { 'demo' => demo(...), 'increment' => increment(...) };
    $run($steadfast, ...array_slice($argv, 2));
} catch (SteadfastError $e) {
    fwrite(STDERR, $e->getMessage() . "\n");
    exit(1);
}
