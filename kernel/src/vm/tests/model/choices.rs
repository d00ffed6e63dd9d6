//! What the architecture leaves open.

/// Answers to the questions of one step; [`Choices::advance`] goes to the next set of answers.
#[derive(Default, Debug)]
pub struct Choices {
    /// Answer, and of how many.
    answers: Vec<(usize, usize)>,
    asked: usize,
}

impl Choices {
    /// One of `count` possibilities, the first at first.
    pub fn pick(&mut self, count: usize) -> usize {
        if self.asked == self.answers.len() {
            self.answers.push((0, count));
        }
        let (answer, _) = self.answers[self.asked];
        self.asked += 1;
        answer
    }

    /// Whether there is another set of answers; the next step gets it.
    pub fn advance(&mut self) -> bool {
        self.asked = 0;
        while let Some((answer, count)) = self.answers.pop() {
            if answer + 1 < count {
                self.answers.push((answer + 1, count));
                return true;
            }
        }
        false
    }
}
