//! `#[main]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned;
use syn::{GenericArgument, ItemFn, PathArguments, ReturnType, Type};

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    if !arguments.is_empty() {
        let message = "#[spanwise::main] takes nothing in parentheses: settings are given to `spanwise::init_with`";
        return Err(syn::Error::new_spanned(arguments, message));
    }
    let function: ItemFn = syn::parse2(item)?;
    check(&function)?;
    let ItemFn { attrs, vis, sig, block } = &function;
    let (output, span) = (&sig.output, sig.output.span());
    // The value of the block is checked against what is written behind the arrow, and there.
    let result = quote::quote_spanned!(span=> ::spanwise::__private::result(__main().await));
    Ok(quote! {
        #(#attrs)*
        #vis fn main() -> ::spanwise::ExitCode {
            async fn __main() #output #block

            ::spanwise::main(async { #result })
        }
    })
}

fn check(function: &ItemFn) -> syn::Result<()> {
    let signature = &function.sig;
    if signature.ident != "main" {
        let message = format!(
            "expected the function `main`, found `{}`: #[spanwise::main] is for where a program begins",
            signature.ident
        );
        return Err(syn::Error::new(signature.ident.span(), message));
    }
    if signature.asyncness.is_none() {
        let message = "write `async fn main`: #[spanwise::main] runs it on a runtime";
        return Err(syn::Error::new_spanned(signature.fn_token, message));
    }
    if !signature.generics.params.is_empty() || signature.generics.where_clause.is_some() {
        return Err(syn::Error::new_spanned(&signature.generics, "`main` cannot be generic"));
    }
    if let Some(unsafety) = signature.unsafety {
        return Err(syn::Error::new(unsafety.span(), "`main` cannot be unsafe"));
    }
    if let Some(argument) = signature.inputs.first() {
        let message =
            "`main` takes no arguments: those of the program are in `std::env::args()`, behind `spanwise::init`";
        return Err(syn::Error::new_spanned(argument, message));
    }
    check_output(function)
}

/// A `Result` of nothing: what a program gives is its exit code.
fn check_output(function: &ItemFn) -> syn::Result<()> {
    let write = "write `-> spanwise::Result<()>`";
    let ReturnType::Type(_, output) = &function.sig.output else {
        let message = format!("`main` returns a `Result`: {write}");
        return Err(syn::Error::new(function.sig.ident.span(), message));
    };
    let is_unit = |kind: &Type| matches!(kind, Type::Tuple(tuple) if tuple.elems.is_empty());
    let last = match &**output {
        Type::Path(path) => path.path.segments.last().filter(|last| last.ident == "Result"),
        _ => None,
    };
    let gives_nothing = last.is_some_and(|last| match &last.arguments {
        PathArguments::AngleBracketed(arguments) => {
            matches!(arguments.args.first(), Some(GenericArgument::Type(kind)) if is_unit(kind))
        }
        _ => false,
    });
    if gives_nothing {
        return Ok(());
    }
    let found =
        quote!(#output).to_string().replace(" < ", "<").replace(" >", ">").replace(" :: ", "::").replace(" ,", ",");
    let message = format!("`main` returns a `Result` of nothing, found `{found}`: {write}");
    Err(syn::Error::new_spanned(output, message))
}
