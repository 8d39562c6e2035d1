//! What is not shown to whoever looks over a shoulder: values whose names say that they are secrets. Files have them as they were sent.

/// Words that make a name that of a secret, wherever they are in it, and with something before them (`userpassword`).
const WORDS: [&str; 10] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "secrets",
    "authorization",
    "credential",
    "credentials",
    "cookie",
    "apikey",
];

/// Words that do so at the end of a name only: `token.count` and `cookies.accepted` are none.
const LAST_WORDS: [&str; 4] = ["token", "jwt", "cookies", "passwords"];

/// Words that do so beside each other.
const PAIRS: [[&str; 2]; 10] = [
    ["api", "key"],
    ["access", "key"],
    ["private", "key"],
    ["account", "key"],
    ["signing", "key"],
    ["encryption", "key"],
    ["access", "tokens"],
    ["refresh", "tokens"],
    ["auth", "tokens"],
    ["bearer", "tokens"],
];

/// What stands before a `token` that is written as one word with it.
const KINDS_OF_TOKENS: [&str; 7] = ["access", "api", "auth", "bearer", "id", "refresh", "session"];

/// What stands in the place of a secret.
pub(crate) const HIDDEN: &str = "(hidden)";

/// True if a name is that of a secret. Numbers are no secrets, whatever their names: `gen_ai.usage.input_tokens` is a count.
pub(crate) fn is_secret(key: &str) -> bool {
    let words = words(key);
    let is_last = |word: &String| LAST_WORDS.contains(&word.as_str()) || is_one_word_token(word);
    words.iter().any(|word| WORDS.iter().any(|secret| word.ends_with(secret)))
        || words.last().is_some_and(is_last)
        || words.windows(2).any(|pair| PAIRS.iter().any(|secret| pair[0].ends_with(secret[0]) && pair[1] == secret[1]))
}

fn is_one_word_token(word: &str) -> bool {
    word.strip_suffix("token").is_some_and(|kind| KINDS_OF_TOKENS.contains(&kind))
}

/// The words of a name in lower case: `http.request.header.x-api-key`, `accessToken` and `API_KEY` have several.
fn words(key: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = None;
    let mut characters = key.chars().peekable();
    while let Some(character) = characters.next() {
        let is_word = character.is_alphanumeric();
        let follows_lower = before.is_some_and(|before: char| before.is_lowercase() || before.is_numeric());
        let ends_capitals =
            before.is_some_and(char::is_uppercase) && characters.peek().is_some_and(|next| next.is_lowercase());
        let begins = before.is_none_or(|before| !before.is_alphanumeric())
            || (character.is_uppercase() && (follows_lower || ends_capitals));
        if is_word {
            if begins {
                words.push(String::new());
            }
            words.iter_mut().last().into_iter().for_each(|word| word.extend(character.to_lowercase()));
        }
        before = Some(character);
    }
    words
}

/// A text without what is a secret by itself: what follows `Bearer`, and the value of a header that is written as `name: value`.
pub(crate) fn without_secrets(text: &str) -> String {
    if let Some((name, _)) = text.split_once(':')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        && is_header(name)
    {
        return format!("{name}: {HIDDEN}");
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = find_bearer(rest) {
        let end =
            rest[at..].find(|c: char| c.is_whitespace() || "\"',;".contains(c)).map_or(rest.len(), |end| at + end);
        shown.push_str(&rest[..at]);
        shown.push_str(if end - at < SHORTEST_TOKEN { &rest[at..end] } else { HIDDEN });
        rest = &rest[end..];
    }
    shown + rest
}

/// Names with their values, of which none shows a secret: of a context, of labels, of annotations.
pub(crate) fn shown_pairs<'a>(pairs: impl IntoIterator<Item = (&'a String, &'a String)>) -> Vec<(String, String)> {
    let shown = |value: &str, is_secret| if is_secret { HIDDEN.to_owned() } else { without_secrets(value) };
    pairs.into_iter().map(|(key, value)| (key.clone(), shown(value, is_secret(key)))).collect()
}

/// What is shorter after `Bearer` is a word of a sentence.
const SHORTEST_TOKEN: usize = 12;

/// Headers that carry secrets; an error message may begin with `token:`, a header does not.
fn is_header(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let is_known = ["authorization", "proxy-authorization", "cookie", "set-cookie"].contains(&lower.as_str());
    is_known || (lower.starts_with("x-") && is_secret(name))
}

/// Where the word after the first `Bearer` begins.
fn find_bearer(text: &str) -> Option<usize> {
    const BEARER: &[u8] = b"bearer ";
    let at = text.as_bytes().windows(BEARER.len()).position(|window| window.eq_ignore_ascii_case(BEARER))?;
    Some(at + BEARER.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_hidden_by_their_words() {
        let hidden = [
            "token",
            "api_token",
            "user.token",
            "accessToken",
            "access_token",
            "accesstoken",
            "X-Auth-Token",
            "id_token",
            "jwt",
            "api_key",
            "apiKey",
            "apikey",
            "API_KEY",
            "API-KEY",
            "x-api-key",
            "openai.api_key",
            "OPENAI_API_KEY",
            "openaiApiKey",
            "password",
            "db.password",
            "userpassword",
            "PGPASSWORD",
            "password_hash",
            "passwd",
            "passphrase",
            "secret",
            "client_secret",
            "clientSecret",
            "secrets",
            "credential",
            "aws.credentials",
            "authorization",
            "Proxy-Authorization",
            "http.request.header.authorization",
            "http.request.header.cookie",
            "http.response.header.set-cookie",
            "Set-Cookie",
            "cookie",
            "cookies",
            "aws_access_key_id",
            "privateKey",
            "SSHPrivateKey",
            "refresh_tokens",
            "MYAPIKey",
        ];
        let shown = [
            "gen_ai.usage.input_tokens",
            "gen_ai.usage.output_tokens",
            "llm.token_count.total",
            "llm.token_count.prompt",
            "tokens",
            "max_tokens",
            "gen_ai.request.max_tokens",
            "gen_ai.token.type",
            "token_type",
            "tokenizer",
            "input_tokens",
            "total_tokens",
            "key",
            "cache.key",
            "messaging.kafka.message.key",
            "author",
            "authority",
            "monkey",
            "keyboard",
            "http.route",
            "secretary",
            "cookies.accepted",
            "session.id",
            "",
            ".",
            "_",
            "ключ",
            "apiKeyboard",
        ];
        for key in hidden {
            assert!(is_secret(key), "{key}: {:?}", words(key));
        }
        for key in shown {
            assert!(!is_secret(key), "{key}: {:?}", words(key));
        }
    }

    #[test]
    fn a_text_is_shown_without_the_secrets_that_say_so_themselves() {
        let cases = [
            ("Bearer eyJhbGciOiJIUzI1NiJ9.e30", "Bearer (hidden)"),
            ("curl -H 'authorization: bearer abcdefghijklmnop' x", "curl -H 'authorization: bearer (hidden)' x"),
            ("Bearer abcdefghijklmnop, Bearer qrstuvwxyzabcdef", "Bearer (hidden), Bearer (hidden)"),
            ("the bearer of this", "the bearer of this"),
            ("Authorization: Basic dXNlcjpwYXNz", "Authorization: (hidden)"),
            ("set-cookie: a=b; c", "set-cookie: (hidden)"),
            ("x-api-key:1", "x-api-key: (hidden)"),
            ("token: expected `)`", "token: expected `)`"),
            ("content-type: text/html", "content-type: text/html"),
            ("bearer", "bearer"),
            ("bearer ", "bearer "),
            ("Bearer 日本語日本語日本語 x", "Bearer (hidden) x"),
        ];
        for (text, expected) in cases {
            assert_eq!(without_secrets(text), expected);
        }
    }
}
