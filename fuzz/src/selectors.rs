//! Selectors: which jobs a command is about.

use queuectl_core::Selector;
use queuectl_core::selector::Word;

/// What is read is written so that it is read as the same; what is refused is named.
pub fn selectors(data: &[u8]) {
    selectors_with(data, |text| text);
}

/// The same where what is written comes out differently: for the control.
pub fn selectors_with(data: &[u8], written: fn(String) -> String) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match text.parse::<Word>() {
        Ok(word) => assert_eq!(word.to_string().parse(), Ok(word.clone()), "{word}"),
        Err(error) => crate::check_names(&error.to_string(), text),
    }
    match text.parse::<Selector>() {
        Ok(selector) => {
            let text = written(selector.to_string());
            assert_eq!(text.parse(), Ok(selector), "{text}");
        }
        Err(error) => crate::check_error(&error.to_string()),
    }
}
