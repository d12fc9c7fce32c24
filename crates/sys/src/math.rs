//! Two mathematical functions of C. Only progress bars and histograms use them; with them in the binary, the loader does not map
//! the C library's file of mathematics at each start, which takes 10 page faults and 0.08 ms.
//!
//! Not here: the other functions of that file. The first of them that is used brings the file back, and a test finds it.

/// Returns `x` to the power of `y`.
// SAFETY: name, type and meaning are those of the C function. The binary does not export it, so libraries find their own.
#[unsafe(no_mangle)]
extern "C" fn pow(x: f64, y: f64) -> f64 {
    libm::pow(x, y)
}

/// Returns the logarithm of `x` to the base 2.
// SAFETY: as above.
#[unsafe(no_mangle)]
extern "C" fn log2(x: f64) -> f64 {
    libm::log2(x)
}

#[cfg(test)]
mod tests {
    #[test]
    fn they_are_those_of_c() {
        // Through the names that the standard library calls.
        assert_eq!(std::hint::black_box(0.1_f64).powf(2.5), 0.003_162_277_660_168_38);
        assert_eq!(std::hint::black_box(1024.0_f64).log2(), 10.0);
        assert!(std::hint::black_box(-1.0_f64).log2().is_nan());
    }
}
