//! Tokens of the HTTP API: which there are, and who made and revoked them.

use queuectl_core::limits::TOKENS;
use queuectl_core::{Role, Token, TokenName, TokenScope};

use super::*;

fn name(text: &str) -> TokenName {
    text.parse().expect("a name")
}

fn token(text: &str, at: Timestamp) -> Token {
    Token {
        name: name(text),
        hash: [7; 32],
        roles: [Role::Read, Role::Enqueue].into_iter().collect(),
        scope: TokenScope {
            queues: vec![
                "mail".parse().expect("a queue"),
                "a/b:c".parse().expect("a queue"),
            ],
            executors: vec!["http".parse().expect("an executor")],
        },
        created_at: at,
        created_by: Some("ann@vm".to_owned()),
        expires_at: Some(Timestamp(at.0 + 1000)),
        used_at: None,
        revoked_at: None,
    }
}

fn one(store: &mut Store, text: &str) -> Token {
    let all = store.tokens().expect("tokens");
    let found = all.into_iter().find(|token| token.name.as_str() == text);
    found.expect("the token is there")
}

/// Tokens are stored as given, revoked by name, and say when they were used; each change is an operation.
pub fn tokens_are_kept_and_revoked(mut temp: TempStore) {
    let store = &mut temp.store;
    store.act_as("ann@vm".to_owned());
    let plain = Token {
        scope: TokenScope::default(),
        created_by: None,
        expires_at: None,
        ..token("plain", NOW)
    };
    let full = token("full", NOW);
    store.add_token(&plain).expect("added");
    store.add_token(&full).expect("added");
    assert_eq!(store.tokens().expect("tokens"), [full.clone(), plain.clone()]);
    assert!(
        matches!(store.add_token(&token("full", NOW)), Err(StoreError::TokenTaken(name)) if name == "full")
    );

    // To the hour.
    let hour = 60 * 60 * 1000;
    for (ms, known) in [(0, 0), (hour - 1, 0), (hour, hour), (hour + 5, hour)] {
        store.token_used(&name("full"), later(ms)).expect("noted");
        assert_eq!(one(store, "full").used_at, Some(later(known)), "{ms}");
    }
    store.token_used(&name("gone"), NOW).expect("nothing to note");

    assert!(matches!(
        store.revoke_tokens(&[name("plain"), name("gone")], false),
        Err(StoreError::NoSuchToken(name)) if name == "gone"
    ));
    assert_eq!(one(store, "plain"), plain, "all or none");
    let before = store.now().expect("a clock");
    store.revoke_tokens(&[name("plain")], false).expect("revoked");
    let revoked = one(store, "plain");
    assert!(revoked.revoked_at >= Some(before) && !revoked.is_good(NOW));
    store
        .revoke_tokens(&[name("plain")], false)
        .expect("revoked already");
    assert_eq!(one(store, "plain"), revoked);
    assert_eq!(one(store, "full").revoked_at, None, "the bystander");
    // Its name is free again.
    store.add_token(&plain).expect("added");
    assert_eq!(one(store, "plain"), plain);
    store.revoke_tokens(&[name("plain")], true).expect("forgotten");
    assert_eq!(store.tokens().expect("tokens").len(), 1);
    let done = store.operations(None, false, 10).expect("operations");
    let done: Vec<(&str, &str)> = done
        .iter()
        .map(|one| (one.kind.as_str(), one.what.as_str()))
        .collect();
    assert_eq!(
        done,
        [
            ("token revoked", "token plain"),
            ("token added", "token plain"),
            ("token revoked", "token plain"),
            ("token added", "token full"),
            ("token added", "token plain"),
        ]
    );
}

/// There is a number of them, for which those that are not good any more make room, the oldest first.
pub fn tokens_are_bounded(mut temp: TempStore) {
    let store = &mut temp.store;
    let lasting = |text: &str| Token {
        expires_at: None,
        ..token(text, NOW)
    };
    store
        .add_token(&token("old", Timestamp(NOW.0 - 9000)))
        .expect("added");
    store
        .add_token(&token("older", Timestamp(NOW.0 - 9999)))
        .expect("added");
    for number in 2..TOKENS {
        store.add_token(&lasting(&format!("t{number}"))).expect("added");
    }
    store.add_token(&lasting("in-place-of-older")).expect("added");
    store.add_token(&lasting("in-place-of-old")).expect("added");
    let all = store.tokens().expect("tokens");
    assert_eq!(all.len(), TOKENS);
    assert!(all.iter().all(|token| !token.name.as_str().starts_with("old")));
    assert!(matches!(
        store.add_token(&lasting("one-more")),
        Err(StoreError::TooManyTokens)
    ));
    assert_eq!(store.tokens().expect("tokens"), all);
}

/// A copy knows the same tokens.
pub fn a_copy_has_the_tokens(mut temp: TempStore) {
    let store = &mut temp.store;
    store.add_token(&token("one", NOW)).expect("added");
    store.add_token(&token("two", NOW)).expect("added");
    store.revoke_tokens(&[name("two")], false).expect("revoked");
    let mut other = TempStore::sqlite();
    store.copy_to(&mut other.store).expect("copied");
    assert_eq!(
        other.store.tokens().expect("tokens"),
        store.tokens().expect("tokens")
    );
    assert!(matches!(
        store.copy_to(&mut other.store),
        Err(StoreError::NotEmpty)
    ));
}
