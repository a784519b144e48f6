//! The text of a source by its lines: frames ask for lines deep in it, thousands of times.

/// A text and where its lines begin.
pub(crate) struct Lines {
    text: String,
    starts: Vec<u32>,
}

impl Lines {
    /// Of a text as the store keeps it; lines behind 4 GiB are not found.
    pub(crate) fn new(text: String) -> Self {
        let ends = memchr::memchr_iter(b'\n', text.as_bytes());
        let starts = std::iter::once(0).chain(ends.map_while(|end| u32::try_from(end + 1).ok())).collect();
        Self { text, starts }
    }

    /// A line without its end, from 0.
    pub(crate) fn get(&self, number: usize) -> Option<&str> {
        let at = |number: usize| self.starts.get(number).and_then(|start| usize::try_from(*start).ok());
        let end = at(number + 1).map_or(self.text.len(), |next| next - 1);
        self.text.get(at(number)?..end)
    }

    /// Bytes in memory, about.
    pub(crate) fn weight(&self) -> usize {
        self.text.len() + self.starts.len() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_the_text() {
        for text in ["", "a", "a\n", "\n\n", "a\nbü\n\nc", "a\r\nb"] {
            let lines = Lines::new(text.to_owned());
            let whole: Vec<&str> = text.split('\n').collect();
            let got: Vec<&str> = (0..).map_while(|number| lines.get(number)).collect();
            assert_eq!(got, whole, "{text:?}");
        }
    }
}
