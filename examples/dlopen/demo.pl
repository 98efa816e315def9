#!/usr/bin/perl
# steadfast from Perl: perl demo.pl demo DIRECTORY | increment LOCK STATE N
use v5.30;
use warnings;

package Steadfast::Report {
    use FFI::Platypus::Record;
    record_layout_1(
        size_t => 'size',
        sint32 => 'status', sint32 => 'os_error', sint32 => 'step', sint32 => 'on_disk',
        uint64 => 'generation', sint64 => 'pid', 'string(216)' => 'message',
    );
}

package Steadfast::SaveOptions {
    use FFI::Platypus::Record;
    record_layout_1(
        size_t => 'size',
        uint32 => 'flags', uint32 => 'mode', uint32 => 'schema', uint32 => 'reserved', uint64 => 'expected_generation',
        sint64 => 'timeout_ms',
    );
}

package Steadfast::State {
    use FFI::Platypus::Record;
    record_layout_1(
        size_t => 'size', opaque => 'data', size_t => 'len',
        uint64 => 'generation', sint64 => 'saved_at_ns', uint32 => 'schema', uint32 => 'source', 'string(32)' => 'sha256',
    );
}

package Steadfast {
    use FFI::Platypus 2.00;
    use FFI::Platypus::Buffer qw(buffer_to_scalar);
    use constant { OK => 0, SAVE_STRICT => 1, SAVE_KEEP_PREVIOUS => 2, SAVE_IF_GENERATION => 4, SAVE_ALTERNATE => 32 };

    my $ffi = FFI::Platypus->new(api => 2, lib => 'libsteadfast.so.0');
    $ffi->type('record(Steadfast::Report)*'      => 'report');
    $ffi->type('record(Steadfast::SaveOptions)*' => 'save_options');
    $ffi->type('record(Steadfast::State)*'       => 'state');
    $ffi->mangler(sub { "steadfast_$_[0]" });
    $ffi->attach(status_name  => ['sint32'] => 'string');
    $ffi->attach(state_save   => [qw(opaque string string size_t save_options report)] => 'sint32');
    $ffi->attach(state_load   => [qw(opaque string opaque state report)] => 'sint32');
    $ffi->attach(state_free   => ['state'] => 'void');
    $ffi->attach(lock_acquire => [qw(opaque string sint64 opaque opaque* report)] => 'sint32');
    $ffi->attach(lock_release => [qw(opaque report)] => 'sint32');

    sub new_struct { my ($class, %fields) = @_; $class->new(size => $class->_ffi_record_size, %fields) }

    # Results below zero are thrown: { code, name, message }.
    sub check {
        my ($status, $report) = @_;
        return $status if $status >= 0;
        my ($message) = $report->message =~ /^([^\0]*)/;
        die { code => $status, name => status_name($status), message => $message };
    }

    # Returns the generation.
    sub save {
        my ($path, $data, %options) = @_;
        my $report = new_struct('Steadfast::Report');
        check(state_save(undef, $path, $data, length $data, new_struct('Steadfast::SaveOptions', %options), $report), $report);
        return $report->generation;
    }

    # Returns the payload and its generation.
    sub load {
        my ($path) = @_;
        my ($state, $report) = (new_struct('Steadfast::State'), new_struct('Steadfast::Report'));
        check(state_load(undef, $path, undef, $state, $report), $report);
        my @loaded = (buffer_to_scalar($state->data, $state->len), $state->generation);
        state_free($state);
        return @loaded;
    }

    # Calls $body with the lock held.
    sub with_lock {
        my ($path, $timeout_ms, $body) = @_;
        my $report = new_struct('Steadfast::Report');
        check(lock_acquire(undef, $path, $timeout_ms, undef, \my $lock, $report), $report);
        my $done = eval { $body->(); 1 };
        my $problem = $@;
        my $status = lock_release($lock, $report);
        die $problem if !$done;
        check($status, $report);
    }
}

sub text { my ($e) = @_; ref $e ? "$e->{name} ($e->{code}): $e->{message}\n" : $e }

sub demo {
    my ($directory) = @_;
    my $path = "$directory/app.state";
    Steadfast::save($path, '{"jobs": 3}');
    my ($data, $generation) = Steadfast::load($path);
    say "generation $generation: $data";
    Steadfast::with_lock("$directory/app.lock", 200, sub {
        open my $file, '<', "$directory/app.lock" or die $!;
        print 'locked by ', <$file>;
    });
    eval { Steadfast::save($path, '', flags => Steadfast::SAVE_IF_GENERATION, expected_generation => 99) };
    print text($@);
}

sub increment {
    my ($lock, $path, $times) = @_;
    for (1 .. $times) {
        Steadfast::with_lock($lock, 60_000, sub {
            my ($value) = eval { Steadfast::load($path) };
            die $@ if !defined $value && !(ref $@ && $@->{name} eq 'ENOENT');
            Steadfast::save($path, ($value // 0) + 1);
        });
    }
}

my $command = shift // '';
my $run = { demo => \&demo, increment => \&increment }->{$command} or die "usage: demo.pl demo|increment ...\n";
eval { $run->(@ARGV); 1 } or do { print STDERR text($@); exit 1 };
