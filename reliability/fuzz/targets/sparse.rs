#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::samples("a.svm", bytes));
