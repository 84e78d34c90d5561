//! What is wrong with a configuration, told at once.

use crate::SetupError;

/// Mistakes that are told one by one; a file of nothing else is no reason for a text as long.
const TOLD: usize = 20;

/// What was found to be wrong.
#[derive(Debug, Default)]
pub struct Mistakes {
    told: Vec<String>,
    count: usize,
}

impl Mistakes {
    /// One more.
    pub fn add(&mut self, mistake: impl FnOnce() -> String) {
        self.count += 1;
        if self.told.len() < TOLD {
            self.told.push(mistake());
        }
    }

    /// The configuration, if nothing is wrong with it.
    ///
    /// # Errors
    ///
    /// All that is.
    pub fn none_in<C>(self, config: C) -> Result<C, SetupError> {
        let count = self.count;
        match &*self.told {
            [] => Ok(config),
            [one] => Err(SetupError::new(format!("the configuration is wrong: {one}"))),
            all => {
                let more = match count - all.len() {
                    0 => String::new(),
                    more => format!("\n  - and {more} more"),
                };
                let list = all.join("\n  - ");
                let text = format!("the configuration has {count} mistakes:\n  - {list}{more}");
                Err(SetupError::new(text))
            }
        }
    }
}
