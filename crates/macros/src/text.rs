//! The text of a function, by which it is known whether its code is another one.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use quote::quote;
use syn::{Attribute, Block, Signature};

/// Operators of two characters, and those that ones of three are put together from.
const PAIRS: [&str; 22] = [
    "&&", "||", "<<", ">>", "==", "!=", "<=", ">=", "->", "=>", "<-", "::", "..", ".=", "+=", "-=", "*=", "/=", "%=",
    "^=", "&=", "|=",
];

/// The text of a function: its attributes, but for its documentation, its signature and its body.
pub(crate) fn of_function(attributes: &[Attribute], signature: &Signature, body: &Block) -> String {
    let attributes = attributes.iter().filter(|attribute| !attribute.path().is_ident("doc"));
    of_tokens(quote!(#(#attributes)* #signature #body))
}

/// One blank between two tokens, however they are set and whichever compiler reads them: also within the calls of macros, which are kept as
/// they stand.
fn of_tokens(tokens: TokenStream) -> String {
    let mut text = String::new();
    write(tokens, &mut text);
    text
}

fn write(tokens: TokenStream, text: &mut String) {
    let mut before = None;
    for token in tokens {
        let is_one_operator = match (before, &token) {
            (Some(first), TokenTree::Punct(second)) => {
                PAIRS.contains(&[first, second.as_char()].iter().collect::<String>().as_str())
            }
            _ => false,
        };
        if !is_one_operator && !text.is_empty() {
            text.push(' ');
        }
        before = match &token {
            TokenTree::Punct(punct) if punct.spacing() == Spacing::Joint => Some(punct.as_char()),
            _ => None,
        };
        match token {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", " )"),
                    Delimiter::Brace => ("{", " }"),
                    Delimiter::Bracket => ("[", " ]"),
                    Delimiter::None => ("", ""),
                };
                text.push_str(open);
                write(group.stream(), text);
                text.push_str(close);
            }
            TokenTree::Ident(ident) => text.push_str(&ident.to_string()),
            TokenTree::Punct(punct) => text.push(punct.as_char()),
            TokenTree::Literal(literal) => text.push_str(&literal.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use syn::ItemFn;

    use super::*;

    fn text(function: &str) -> String {
        let ItemFn { attrs, sig, block, .. } = syn::parse_str(function).unwrap();
        of_function(&attrs, &sig, &block)
    }

    #[test]
    fn s5_the_text_of_a_function_is_that_of_its_tokens() {
        let first = text("fn f(a: u8) -> u8 { println!(\"{}\", a); a && b[1..=2] }");
        assert_eq!(first, "fn f ( a : u8 ) -> u8 { println ! ( \"{}\" , a ) ; a && b [ 1 ..= 2 ] }");
        let same = "/// Documented.\nfn f(a:u8)->u8{ println!( \"{}\",a );\n // A comment.\n a&&b[ 1 ..=2 ]}";
        assert_eq!(text(same), first);
    }

    #[test]
    fn s5_how_a_function_is_set_is_no_part_of_its_text() {
        for (one, other) in [
            ("x!(a,b)", "x! ( a , b )"),
            ("x!(a=-1)", "x!(a = -1)"),
            ("x!(a==-1)", "x!(a == - 1)"),
            ("x!(&*a,|b|!b)", "x!(& * a, | b | ! b)"),
            ("x!{a::b(c..d)}", "x! { a::b( c..d ) }"),
            ("x!['a,'b']", "x!['a, 'b']"),
            ("x!(a>>=1)", "x!(a >>= 1)"),
        ] {
            assert_eq!(text(&format!("fn f() {{ {one} }}")), text(&format!("fn f() {{ {other} }}")), "{one}");
        }
    }

    #[test]
    fn s5_other_code_has_another_text() {
        for (one, other) in [
            ("fn f() { x!(a && b) }", "fn f() { x!(a & &b) }"),
            ("fn f() { x!(a) }", "fn f() { x![a] }"),
            ("fn f() { x!(a b) }", "fn f() { x!(ab) }"),
            ("fn f() { x!(\"a b\") }", "fn f() { x!(\"a  b\") }"),
            ("fn f() { x!((a) b) }", "fn f() { x!((a b)) }"),
            ("fn f() {}", "#[traced] fn f() {}"),
            ("#[traced(\"a\")] fn f() {}", "#[traced(\"b\")] fn f() {}"),
            ("#[cfg(a)] fn f() {}", "#[cfg(b)] fn f() {}"),
            ("fn f() {}", "async fn f() {}"),
        ] {
            assert_ne!(text(one), text(other));
        }
    }
}
