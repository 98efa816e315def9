//! What a freestanding Rust library must bring along: the panic handler, and the two names that the
//! prebuilt `core` refers to. There is no allocator: the library never uses `alloc`, memory comes from
//! `hooks::memory`, which reports failure.
#![allow(unsafe_code)]

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    crate::hooks::memory::abort()
}

/// Never called: with panic = abort nothing unwinds.
#[unsafe(no_mangle)]
extern "C" fn steadfast_internal_no_unwind() -> ! {
    crate::hooks::memory::abort()
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
