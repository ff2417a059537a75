//! Lists the posts of an account in the reviews of a pull request.

use super::Forge;
use crate::{Actor, Error, ReviewComment};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReviewPosts {
    /// Comments on lines and replies, also in resolved threads, oldest first.
    pub comments: Vec<ReviewComment>,
    /// The texts of reviews, oldest first. On Bitbucket, all comments on the whole pull request.
    pub texts: Vec<String>,
    /// The newest posts are missing, because the conversation is too long.
    pub truncated: bool,
}

impl Forge {
    /// Lists posts of the account with this id. `None` lists all accounts, for a token that hides its account.
    /// Reads at most 1,000 comments and 1,000 reviews. Errors: `NotFound` for a missing pull request.
    pub async fn review_posts(&self, full_name: &str, number: u64, account: Option<u64>) -> Result<ReviewPosts, Error> {
        let is_author = |author: Option<&Actor>| account.is_none() || author.map(|author| author.id) == account;
        let comments = self.comments(full_name, number).await?;
        let texts = dispatch!(self, review_texts(full_name, number))?;
        Ok(ReviewPosts {
            truncated: comments.truncated || texts.truncated,
            comments: comments.items.into_iter().filter(|comment| is_author(comment.author.as_ref())).collect(),
            texts: texts
                .items
                .into_iter()
                .filter_map(|(author, text)| is_author(author.as_ref()).then_some(text))
                .collect(),
        })
    }
}
