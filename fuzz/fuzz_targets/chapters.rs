//! See `coldcase_fuzz::targets`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| coldcase_fuzz::targets::run("chapters", data));
