//! What a task asks for beside its retries and its limits in time: `cache`, `resources(..)`, `secrets`, `env_vars`, `queue`.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use spanwise_core::quantity;
use syn::meta::ParseNestedMeta;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Expr, ExprLit, Lit, LitBool, LitStr, Token, bracketed, parenthesized};

use crate::duration;

/// The settings that stand there, each as the expression that makes it.
#[derive(Default)]
pub(crate) struct Settings {
    cache: Option<TokenStream>,
    ignored_inputs: Vec<LitStr>,
    resources: Option<TokenStream>,
    secrets: Option<TokenStream>,
    env_vars: Option<TokenStream>,
    queue: Option<TokenStream>,
}

impl Settings {
    /// Reads the setting of this key, if it is one; false if it is none.
    pub(crate) fn read(&mut self, key: &str, meta: &ParseNestedMeta<'_>) -> syn::Result<bool> {
        match key {
            "cache" => self.cache = Some(self.read_cache(meta)?),
            "resources" => self.resources = Some(read_resources(meta)?),
            "secrets" => self.secrets = Some(read_secrets(meta)?),
            "env_vars" => self.env_vars = Some(read_variables(meta)?),
            "queue" => self.queue = Some(read_queue(meta)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Refuses to ignore an input that there is not.
    pub(crate) fn check(&self, inputs: &[Ident]) -> syn::Result<()> {
        let is_unknown = |name: &&LitStr| inputs.iter().all(|input| *input != name.value().as_str());
        match self.ignored_inputs.iter().find(is_unknown) {
            Some(unknown) => {
                Err(syn::Error::new(unknown.span(), "`ignored_inputs` of `cache` has no argument of this name"))
            }
            None => Ok(()),
        }
    }

    fn read_cache(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<TokenStream> {
        if !meta.input.peek(syn::token::Paren) {
            let what =
                "expected `cache = \"auto\"`, a version such as `cache = \"v1\"`, or `cache(version = \"v1\", ..)`";
            return version(&text(meta, what)?);
        }
        let mut cache = quote!(::spanwise::Cache::auto());
        let mut settings = Vec::new();
        meta.parse_nested_meta(|meta| {
            match key(&meta).as_str() {
                "version" => cache = version(&text(&meta, "expected a version in quotes")?)?,
                "serialize" => {
                    if meta.value()?.parse::<LitBool>()?.value {
                        settings.push(quote!(.serialize()));
                    }
                }
                "max_age" => {
                    let age = duration::millis(&text(&meta, "expected a duration in quotes, such as \"1h\"")?)?;
                    settings.push(quote!(.max_age(::spanwise::__private::Duration::from_millis(#age))));
                }
                "ignored_inputs" => {
                    let names = list::<LitStr>(&meta)?;
                    settings.extend(names.iter().map(|name| quote!(.ignore_input(#name))));
                    self.ignored_inputs.extend(names);
                }
                _ => return Err(meta.error("expected one of `version`, `serialize`, `ignored_inputs`, `max_age`")),
            }
            Ok(())
        })?;
        Ok(quote!(#cache #(#settings)*))
    }

    /// The expression that makes all of them.
    pub(crate) fn expression(&self) -> TokenStream {
        let option = |value: &Option<TokenStream>| match value {
            None => quote!(::std::option::Option::None),
            Some(value) => quote!(::std::option::Option::Some(#value)),
        };
        let (cache, resources, secrets) = (option(&self.cache), option(&self.resources), option(&self.secrets));
        let (env_vars, queue) = (option(&self.env_vars), option(&self.queue));
        quote!(::spanwise::__private::TaskSettings {
            cache: #cache,
            resources: #resources,
            secrets: #secrets,
            env_vars: #env_vars,
            queue: #queue,
        })
    }
}

fn key(meta: &ParseNestedMeta<'_>) -> String {
    meta.path.get_ident().map(ToString::to_string).unwrap_or_default()
}

/// A text in quotes, that is not empty.
fn text(meta: &ParseNestedMeta<'_>, what: &str) -> syn::Result<LitStr> {
    let value: Expr = meta.value()?.parse()?;
    match value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) if text.value().is_empty() => {
            Err(syn::Error::new(text.span(), format!("`{}` is empty", key(meta))))
        }
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Ok(text),
        value => Err(syn::Error::new_spanned(value, what)),
    }
}

/// A list in brackets.
fn list<T: Parse>(meta: &ParseNestedMeta<'_>) -> syn::Result<Vec<T>> {
    let value = meta.value()?;
    if !value.peek(syn::token::Bracket) {
        return Err(value.error(format!("`{}` is a list in brackets", key(meta))));
    }
    let content;
    bracketed!(content in value);
    Ok(Punctuated::<T, Token![,]>::parse_terminated(&content)?.into_iter().collect())
}

/// A version, or one of the words that Python's SDK takes for the cache by the text and for none (`_cache/cache.py`).
fn version(version: &LitStr) -> syn::Result<TokenStream> {
    match version.value().to_lowercase().as_str() {
        "auto" | "enable" | "enabled" | "on" | "true" | "yes" => Ok(quote!(::spanwise::Cache::auto())),
        "disable" | "disabled" | "off" | "false" | "no" | "none" => Ok(quote!(::spanwise::Cache::off())),
        "override" => Err(syn::Error::new(version.span(), "give the version itself, such as `cache = \"v1\"`")),
        _ => Ok(quote!(::spanwise::Cache::version(#version))),
    }
}

fn read_resources(meta: &ParseNestedMeta<'_>) -> syn::Result<TokenStream> {
    if !meta.input.peek(syn::token::Paren) {
        return Err(meta.error("resources are written as `resources(cpu = 2, memory = \"1Gi\", gpu = 1)`"));
    }
    let mut settings = Vec::new();
    meta.parse_nested_meta(|meta| {
        settings.push(match key(&meta).as_str() {
            "cpu" => read_cpu(&meta)?,
            "memory" => {
                let what = "`memory` is a number of bytes in quotes, such as \"512Mi\" or \"2G\"";
                let memory = text(&meta, what)?;
                amount(quantity::quantity(&memory.value()), &memory, what)?;
                quote!(.memory(#memory))
            }
            "gpu" => {
                let what = "`gpu` is a number of devices, such as `gpu = 1`";
                let devices = number::<u32>(&meta, what)?;
                quote!(.gpu(#devices))
            }
            _ => return Err(meta.error("expected one of `cpu`, `memory`, `gpu`")),
        });
        Ok(())
    })?;
    Ok(quote!(::spanwise::Resources::new() #(#settings)*))
}

fn read_cpu(meta: &ParseNestedMeta<'_>) -> syn::Result<TokenStream> {
    let what = "`cpu` is a number of processors, such as 2, 0.5 or \"500m\"";
    let value: Expr = meta.value()?.parse()?;
    let Expr::Lit(ExprLit { lit, .. }) = &value else { return Err(syn::Error::new_spanned(value, what)) };
    // As it is said when the program runs: numbers without their underscores and exponents.
    let said = match lit {
        Lit::Int(cpu) if cpu.suffix().is_empty() => cpu.base10_digits().to_owned(),
        Lit::Float(cpu) if cpu.suffix().is_empty() => cpu.base10_parse::<f64>()?.to_string(),
        Lit::Str(cpu) => cpu.value(),
        _ => return Err(syn::Error::new_spanned(lit, what)),
    };
    amount(quantity::millis(&said), lit, what)?;
    Ok(quote!(.cpu(#said)))
}

/// Refuses what is no amount, or more or less than there can be.
fn amount(amount: Option<u64>, written: impl ToTokens, what: &str) -> syn::Result<()> {
    amount.map(drop).ok_or_else(|| syn::Error::new_spanned(written, what))
}

fn number<T: std::str::FromStr>(meta: &ParseNestedMeta<'_>, what: &str) -> syn::Result<T>
where
    T::Err: std::fmt::Display,
{
    let value: Expr = meta.value()?.parse()?;
    let number = match &value {
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => number.base10_parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| syn::Error::new_spanned(value, what))
}

/// A secret: its name, or `secret("name", group = "team", as = "VARIABLE")`, or `secret("name", file)`.
struct Secret(TokenStream);

impl Parse for Secret {
    fn parse(input: ParseStream<'_>) -> syn::Result<Secret> {
        if input.peek(LitStr) {
            let name = secret_name(input)?;
            return Ok(Secret(quote!(::spanwise::Secret::new(#name))));
        }
        let what =
            "expected the name of a secret in quotes, or `secret(\"name\", group = \"team\", as = \"VARIABLE\")`";
        let function: Ident = input.parse().map_err(|_| input.error(what))?;
        if function != "secret" {
            return Err(syn::Error::new(function.span(), what));
        }
        let content;
        parenthesized!(content in input);
        let name = secret_name(&content)?;
        let (mut secret, mut how) = (quote!(::spanwise::Secret::new(#name)), TokenStream::new());
        while content.parse::<Option<Token![,]>>()?.is_some() && !content.is_empty() {
            if content.parse::<Option<Token![as]>>()?.is_some() {
                let variable = equals(&content)?;
                how = quote!(.as_env(#variable));
                continue;
            }
            let option: Ident = content.parse()?;
            match option.to_string().as_str() {
                "group" => {
                    let group = equals(&content)?;
                    secret = quote!(#secret.group(#group));
                }
                "file" => how = quote!(.as_file()),
                _ => return Err(syn::Error::new(option.span(), "expected one of `group`, `as`, `file`")),
            }
        }
        if !content.is_empty() {
            return Err(content.error("expected `,`"));
        }
        Ok(Secret(quote!(#secret #how)))
    }
}

fn equals(input: ParseStream<'_>) -> syn::Result<LitStr> {
    input.parse::<Token![=]>()?;
    input.parse()
}

fn secret_name(input: ParseStream<'_>) -> syn::Result<LitStr> {
    let name: LitStr = input.parse()?;
    if name.value().is_empty() {
        return Err(syn::Error::new(name.span(), "a secret of `secrets` has an empty name"));
    }
    Ok(name)
}

fn read_secrets(meta: &ParseNestedMeta<'_>) -> syn::Result<TokenStream> {
    let secrets = list::<Secret>(meta)?.into_iter().map(|secret| secret.0);
    Ok(quote!(::std::vec![#(#secrets),*]))
}

/// A variable: `("NAME", "value")`.
struct Variable(LitStr, LitStr);

impl Parse for Variable {
    fn parse(input: ParseStream<'_>) -> syn::Result<Variable> {
        if !input.peek(syn::token::Paren) {
            return Err(input.error("`env_vars` has pairs, such as `(\"NAME\", \"value\")`"));
        }
        let content;
        parenthesized!(content in input);
        let name: LitStr = content.parse()?;
        content.parse::<Token![,]>()?;
        let value = content.parse()?;
        if name.value().is_empty() || name.value().contains(['=', '\0']) {
            return Err(syn::Error::new(name.span(), "this is no name of a variable of `env_vars`"));
        }
        content.parse::<Option<Token![,]>>()?;
        Ok(Variable(name, value))
    }
}

fn read_variables(meta: &ParseNestedMeta<'_>) -> syn::Result<TokenStream> {
    let variables = list::<Variable>(meta)?;
    for (at, Variable(name, _)) in variables.iter().enumerate() {
        if variables[..at].iter().any(|other| other.0.value() == name.value()) {
            return Err(syn::Error::new(name.span(), "`env_vars` has this variable twice"));
        }
    }
    let pairs = variables.iter().map(|Variable(name, value)| quote!((#name.to_owned(), #value.to_owned())));
    Ok(quote!(::std::vec![#(#pairs),*]))
}

fn read_queue(meta: &ParseNestedMeta<'_>) -> syn::Result<TokenStream> {
    let queue = text(meta, "expected the name of a queue in quotes")?;
    Ok(quote!(#queue.to_owned()))
}

#[cfg(test)]
mod tests {
    use proc_macro2::Span;

    use super::*;

    #[test]
    fn s5_the_words_of_pythons_cache_mean_the_same_and_all_others_are_versions() {
        let made = |text: &str| version(&LitStr::new(text, Span::call_site())).map(|made| made.to_string());
        let expected = |made: TokenStream| made.to_string();
        for word in ["auto", "enable", "enabled", "on", "true", "yes", "On", "AUTO"] {
            assert_eq!(made(word).unwrap(), expected(quote!(::spanwise::Cache::auto())), "{word}");
        }
        for word in ["disable", "disabled", "off", "false", "no", "none", "Off", "None"] {
            assert_eq!(made(word).unwrap(), expected(quote!(::spanwise::Cache::off())), "{word}");
        }
        for word in ["v1", "office", "1", "auto "] {
            assert_eq!(made(word).unwrap(), expected(quote!(::spanwise::Cache::version(#word))), "{word}");
        }
        assert!(made("override").is_err() && made("Override").is_err());
    }
}
