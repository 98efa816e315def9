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

// rust_eh_personality is weak, so that a program which links another Rust static library keeps that one's, and hidden, so
// that the shared library does not export it. _Unwind_Resume is local to this object: were it global, a C++ program that
// links the archive would get it in place of libgcc_s's, and abort at its first exception that passes a destructor.
#[cfg(not(any(target_vendor = "apple", windows)))]
core::arch::global_asm!(
    ".hidden steadfast_internal_no_unwind",
    ".weak rust_eh_personality",
    ".hidden rust_eh_personality",
    ".set rust_eh_personality, steadfast_internal_no_unwind",
    ".set _Unwind_Resume, steadfast_internal_no_unwind",
);
