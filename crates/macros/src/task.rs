//! `#[task]`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::meta::ParseNestedMeta;
use syn::{Expr, ExprLit, ItemFn, Lit, LitStr};

use crate::settings::Settings;
use crate::{duration, signature, text, traced};

/// What stands in the parentheses.
#[derive(Default)]
struct Options {
    env: Option<Expr>,
    name: Option<LitStr>,
    retries: u32,
    backoff: Option<Backoff>,
    max_runtime: Option<u64>,
    max_queued_time: Option<u64>,
    deadline: Option<u64>,
    settings: Settings,
    triggers: Vec<Expr>,
}

const EXPECTED: &str = "expected one of `env`, `name`, `retries`, `backoff(..)`, `timeout`, `cache`, `resources(..)`, `secrets`, \
    `env_vars`, `queue`, `triggers`";

const BACKOFF: &str = "a backoff is written with its base: `backoff(base = \"1s\")`";

struct Backoff {
    base: u64,
    factor: f64,
    cap: Option<u64>,
}

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let options = Options::read(arguments)?;
    let function: ItemFn = syn::parse2(item)?;
    let signature = signature::read(&function, "a task")?;
    let signature::Signature { names, types, output, .. } = &signature;
    options.settings.check(names)?;

    let ItemFn { attrs, vis, sig, block } = &function;
    let is_doc = |attribute: &&syn::Attribute| attribute.path().is_ident("doc");
    let docs: Vec<_> = attrs.iter().filter(is_doc).collect();
    let others = attrs.iter().filter(|attribute| !is_doc(attribute));
    let others = others.map(|attribute| traced::named(attribute, &sig.ident));
    let name = &sig.ident;
    let task_name = options.name.as_ref().map_or_else(|| name.to_string(), LitStr::value);
    let documentation = signature::docs(attrs);
    let argument_names = names.iter().map(ToString::to_string);
    let argument_docs = &signature.docs;
    let (env, policy, settings) = (options.env()?, options.policy(), options.settings.expression());
    let (triggers, checks) = (options.triggers(), signature.checks());
    let body_name = format_ident!("__{}_body", name);
    let mut body = sig.clone();
    body.ident = body_name.clone();
    signature::remove_docs(&mut body);
    let source = text::of_function(attrs, &body, block);
    let call = quote!(#body_name(#(#names),*));
    let run = if sig.asyncness.is_some() {
        quote!(::std::boxed::Box::pin(async move { ::spanwise::__private::result(#call.await) }))
    } else {
        quote!(::std::boxed::Box::pin(::spanwise::__private::blocking(move || ::spanwise::__private::result(#call))))
    };
    Ok(quote! {
        #(#docs)*
        #vis fn #name(#(#names: #types),*) -> ::spanwise::Call<#output> {
            #(#others)*
            #body #block

            #checks

            static TASK: ::spanwise::__private::TypedTask<(#(#types,)*), #output> = ::spanwise::__private::TypedTask {
                function: #task_name,
                environment: || &#env,
                docs: #documentation,
                arguments: &[#(#argument_names),*],
                argument_docs: &[#(#argument_docs),*],
                policy: || #policy,
                settings: || #settings,
                triggers: || #triggers,
                source: #source,
                body: |(#(#names,)*)| #run,
                described: ::spanwise::__private::OnceLock::new(),
            };
            ::spanwise::__private::inventory::submit!(::spanwise::__private::Registered(&TASK));
            TASK.call((#(#names,)*))
        }
    })
}

impl Options {
    fn read(arguments: TokenStream) -> syn::Result<Options> {
        let mut options = Options::default();
        let parser = syn::meta::parser(|meta| options.read_one(&meta));
        syn::parse::Parser::parse2(parser, arguments)?;
        Ok(options)
    }

    fn read_one(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        let key = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        match key.as_str() {
            "env" => self.env = Some(meta.value()?.parse()?),
            "name" => self.name = Some(meta.value()?.parse()?),
            "retries" => self.retries = read_retries(meta)?,
            "backoff" if meta.input.peek(syn::token::Paren) => self.backoff = Some(Backoff::read(meta)?),
            "backoff" => return Err(meta.error(BACKOFF)),
            "timeout" if meta.input.peek(syn::token::Paren) => {
                meta.parse_nested_meta(|meta| self.read_timeout(&meta))?
            }
            "timeout" => self.max_runtime = Some(read_millis(meta)?),
            "triggers" => self.triggers = read_list(meta)?,
            other if self.settings.read(other, meta)? => {}
            _ => return Err(meta.error(EXPECTED)),
        }
        Ok(())
    }

    fn read_timeout(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        let key = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        let limit = match key.as_str() {
            "max_runtime" => &mut self.max_runtime,
            "max_queued_time" => &mut self.max_queued_time,
            "deadline" => &mut self.deadline,
            _ => return Err(meta.error("expected one of `max_runtime`, `max_queued_time`, `deadline`")),
        };
        *limit = Some(read_millis(meta)?);
        Ok(())
    }

    fn env(&self) -> syn::Result<&Expr> {
        let missing = "a task needs its environment: write `#[task(env = ENV)]`, with `ENV` a static `TaskEnvironment`";
        self.env.as_ref().ok_or_else(|| syn::Error::new(proc_macro2::Span::call_site(), missing))
    }

    /// The expression that makes the triggers: `cron`, `every` and `on_demand` are known in it.
    fn triggers(&self) -> TokenStream {
        let triggers = &self.triggers;
        if triggers.is_empty() {
            return quote!(::std::vec::Vec::new());
        }
        quote!({
            use ::spanwise::__private::triggers::*;
            // Also where none of them is written without its path.
            let _ = on_demand;
            ::std::vec![#(#triggers),*]
        })
    }

    /// The expression that makes the retries and the timeouts.
    fn policy(&self) -> TokenStream {
        let Options { retries, max_runtime, max_queued_time, deadline, .. } = self;
        let (max_runtime, max_queued_time, deadline) =
            (optional(max_runtime), optional(max_queued_time), optional(deadline));
        let backoff = match &self.backoff {
            None => quote!(::std::option::Option::None),
            Some(Backoff { base, factor, cap }) => {
                let cap = optional(cap);
                quote!(::std::option::Option::Some(::spanwise::__private::Backoff {
                    base: ::spanwise::__private::Duration::from_millis(#base),
                    factor: #factor,
                    cap: #cap,
                }))
            }
        };
        quote!((
            ::spanwise::__private::RetryPolicy { retries: #retries, backoff: #backoff },
            ::spanwise::__private::Timeouts {
                max_runtime: #max_runtime,
                max_queued_time: #max_queued_time,
                deadline: #deadline,
            },
        ))
    }
}

impl Backoff {
    fn read(meta: &ParseNestedMeta<'_>) -> syn::Result<Backoff> {
        let (mut base, mut factor, mut cap) = (None, 1.0, None);
        meta.parse_nested_meta(|meta| {
            let key = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
            match key.as_str() {
                "base" => base = Some(read_millis(&meta)?),
                "cap" => cap = Some(read_millis(&meta)?),
                "factor" => factor = read_factor(&meta)?,
                _ => return Err(meta.error("expected one of `base`, `factor`, `cap`")),
            }
            Ok(())
        })?;
        let base = base.ok_or_else(|| meta.error(BACKOFF))?;
        Ok(Backoff { base, factor, cap })
    }
}

fn read_list(meta: &ParseNestedMeta<'_>) -> syn::Result<Vec<Expr>> {
    let value: Expr = meta.value()?.parse()?;
    match value {
        Expr::Array(list) => Ok(list.elems.into_iter().collect()),
        value => {
            let what = "expected a list such as `[cron(\"0 9 * * *\").name(\"daily\")]`";
            Err(syn::Error::new_spanned(value, what))
        }
    }
}

fn read_millis(meta: &ParseNestedMeta<'_>) -> syn::Result<u64> {
    let value: Expr = meta.value()?.parse()?;
    match &value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => duration::millis(text),
        _ => Err(syn::Error::new_spanned(value, "expected a duration in quotes, such as \"30s\" or \"1h30m\"")),
    }
}

fn read_retries(meta: &ParseNestedMeta<'_>) -> syn::Result<u32> {
    let value: Expr = meta.value()?.parse()?;
    let number = match &value {
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => number.base10_parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| syn::Error::new_spanned(value, "expected how often to try again, such as `retries = 3`"))
}

fn read_factor(meta: &ParseNestedMeta<'_>) -> syn::Result<f64> {
    let value: Expr = meta.value()?.parse()?;
    let factor = match &value {
        Expr::Lit(ExprLit { lit: Lit::Int(factor), .. }) => factor.base10_parse::<u32>().ok().map(f64::from),
        Expr::Lit(ExprLit { lit: Lit::Float(factor), .. }) => factor.base10_parse().ok(),
        _ => None,
    };
    let at_least_one = factor.filter(|factor| *factor >= 1.0);
    at_least_one.ok_or_else(|| syn::Error::new_spanned(value, "a backoff's factor is a number of at least 1"))
}

fn optional(millis: &Option<u64>) -> TokenStream {
    match millis {
        None => quote!(::std::option::Option::None),
        Some(millis) => quote!(::std::option::Option::Some(::spanwise::__private::Duration::from_millis(#millis))),
    }
}
