//! `#[traced]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Ident, ItemFn, LitStr, Meta, ReturnType, Type};

/// `#[traced]` without a name below `#[task]` or `#[trace]`: those rename the body, so they write the function's name into it.
pub(crate) fn named(attribute: &Attribute, function: &Ident) -> TokenStream {
    let is_bare =
        matches!(&attribute.meta, Meta::Path(path) if path.segments.last().is_some_and(|last| last.ident == "traced"));
    if !is_bare {
        return quote!(#attribute);
    }
    let (path, name) = (attribute.path(), function.to_string());
    quote!(#[#path(#name)])
}

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let name = read_name(arguments)?;
    let function: ItemFn = syn::parse2(item)?;
    let ItemFn { attrs, vis, sig, block } = &function;
    check_order(&function)?;
    let name = name.map_or_else(|| sig.ident.to_string(), |name| name.value());
    let scope = quote!(::std::env!("CARGO_PKG_NAME"));
    let is_async = sig.asyncness.is_some();
    let body = match (&sig.output, returns_result(&sig.output)) {
        (ReturnType::Type(_, output), true) => {
            traced_result(is_async, &quote!(#scope, #name), &quote!(#output), &quote!(#block))
        }
        (output, _) => {
            // A function that cannot fail is traced as one whose error does not exist.
            let output = match output {
                ReturnType::Type(_, output) => quote!(#output),
                ReturnType::Default => quote!(()),
            };
            let output = quote!(::std::result::Result<#output, ::std::convert::Infallible>);
            let block = if is_async {
                quote!({ ::std::result::Result::Ok(async move #block.await) })
            } else {
                quote!({ ::std::result::Result::Ok((move || #block)()) })
            };
            let traced = traced_result(is_async, &quote!(#scope, #name), &output, &block);
            quote!(match #traced { ::std::result::Result::Ok(done) => done })
        }
    };
    Ok(quote! {
        #(#attrs)*
        #vis #sig {
            #body
        }
    })
}

fn read_name(arguments: TokenStream) -> syn::Result<Option<LitStr>> {
    if arguments.is_empty() {
        return Ok(None);
    }
    let message = "expected the name of the span: `#[traced(\"name\")]`";
    syn::parse2(arguments.clone()).map(Some).map_err(|_| syn::Error::new_spanned(arguments, message))
}

/// The call that runs `block`, which gives `output`, in a span.
fn traced_result(is_async: bool, span: &TokenStream, output: &TokenStream, block: &TokenStream) -> TokenStream {
    if !is_async {
        return quote!(::spanwise::otel::traced_sync(#span, move || -> #output #block));
    }
    quote!(::spanwise::otel::traced(#span, async move {
        let done: #output = async move #block.await;
        done
    }).await)
}

/// `#[task]` and `#[trace]` must see the function first: the span belongs to the body, on the task's side of the border.
fn check_order(function: &ItemFn) -> syn::Result<()> {
    for attribute in &function.attrs {
        let Some(last) = attribute.path().segments.last() else { continue };
        if last.ident == "task" || last.ident == "trace" {
            let message = format!("write `#[{}]` above `#[traced]`: the span belongs to the body", last.ident);
            return Err(syn::Error::new_spanned(attribute, message));
        }
    }
    Ok(())
}

fn returns_result(output: &ReturnType) -> bool {
    let ReturnType::Type(_, output) = output else { return false };
    let Type::Path(path) = &**output else { return false };
    path.path.segments.last().is_some_and(|last| last.ident == "Result")
}
