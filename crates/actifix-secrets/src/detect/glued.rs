//! Words that end as the names of secrets do without being any, and endings that make a name speak of something else.

/// Words that end in `pass` or `pwd`: people pass through many things, and a working directory is a path.
const OTHER_WORDS: &[&str] = &[
    "allpass",
    "bandpass",
    "boardingpass",
    "bypass",
    "cheapass",
    "colorpass",
    "compass",
    "depthpass",
    "encompass",
    "fastpass",
    "finalpass",
    "firstpass",
    "fullpass",
    "gatepass",
    "geometrypass",
    "highpass",
    "hallpass",
    "lightpass",
    "lowpass",
    "mainpass",
    "multipass",
    "nopass",
    "oldpwd",
    "onepass",
    "overpass",
    "postpass",
    "prepass",
    "proxypass",
    "renderpass",
    "secondpass",
    "seasonpass",
    "shaderpass",
    "shadowpass",
    "singlepass",
    "skippass",
    "subpass",
    "surpass",
    "trespass",
    "twopass",
    "underpass",
];

/// Last words of a name that make all of it the name of a quality: `id_token_signed_response_alg`.
const QUALITIES: &[&str] = &[
    "alg",
    "algorithm",
    "count",
    "disabled",
    "enabled",
    "format",
    "length",
    "limit",
    "method",
    "methods",
    "ref",
    "refs",
    "required",
    "supported",
    "timeout",
    "ttl",
    "type",
    "types",
];

/// Whether a word in lower case ends as the name of a secret does and is another word.
pub(super) fn is_other_word(word: &str) -> bool {
    OTHER_WORDS.iter().any(|other| word.ends_with(other))
}

/// Whether a name that ends in this word is the name of a quality.
pub(super) fn is_quality(word: &[u8]) -> bool {
    QUALITIES.iter().any(|quality| quality.as_bytes() == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_words_are_told_apart() {
        for word in ["compass", "bypass", "authbypass", "oldpwd", "renderpass"] {
            assert!(is_other_word(word), "{word}");
        }
        for word in ["dbpass", "userpwd", "keystorepass"] {
            assert!(!is_other_word(word), "{word}");
        }
        assert!(is_quality(b"alg") && !is_quality(b"key"));
    }
}
