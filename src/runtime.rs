//! What a freestanding Rust library must bring along: the panic handler, and the two names that the
//! prebuilt `core` refers to. There is no allocator: the library never uses `alloc`, memory comes from `mem`, which
//! reports failure.
#![allow(unsafe_code)]

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    abort()
}

/// Ends the process. Only a defect of this library gets here.
fn abort() -> ! {
    unsafe { libc::abort() }
}

/// The personality routine that core names. With panic = abort no frame of Rust catches anything or cleans up, so that no
/// unwinder asks it.
#[unsafe(no_mangle)]
extern "C" fn steadfast_internal_no_unwind() -> ! {
    abort()
}

// Weak, so that a program which links another Rust static library keeps that one's; hidden, so that the
// shared library exports neither.
#[cfg(not(any(target_vendor = "apple", windows)))]
core::arch::global_asm!(
    ".hidden steadfast_internal_no_unwind",
    ".weak rust_eh_personality",
    ".hidden rust_eh_personality",
    ".set rust_eh_personality, steadfast_internal_no_unwind",
    ".weak _Unwind_Resume",
    ".hidden _Unwind_Resume",
    ".set _Unwind_Resume, steadfast_internal_no_unwind",
);
