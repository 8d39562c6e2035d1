//! `#[derive(Value)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DataEnum, DeriveInput, Field, Fields, Ident, Lit, LitStr, Token, token};

pub(crate) fn expand(item: TokenStream) -> syn::Result<TokenStream> {
    let input: DeriveInput = syn::parse2(item)?;
    if !input.generics.params.is_empty() {
        let message = "a value cannot be generic: it has one type on the wire";
        return Err(syn::Error::new_spanned(&input.generics, message));
    }
    match &input.data {
        Data::Struct(data) => structure(&input.ident, &data.fields),
        Data::Enum(data) => enumeration(&input.ident, data),
        Data::Union(data) => Err(syn::Error::new_spanned(data.union_token, "a union cannot be a value")),
    }
}

fn structure(name: &Ident, fields: &Fields) -> syn::Result<TokenStream> {
    let Fields::Named(fields) = fields else {
        let message = "expected named fields: a structure is a map of its fields on the wire";
        return Err(syn::Error::new_spanned(name, message));
    };
    let title = name.to_string();
    let stored: Vec<Stored> = fields.named.iter().map(Stored::read).collect::<syn::Result<_>>()?;
    let (names, required): (Vec<&String>, Vec<bool>) =
        stored.iter().map(|field| (&field.name, !field.has_default)).unzip();
    let types = fields.named.iter().map(|field| &field.ty);
    let schema = quote!(::spanwise::__private::structure_schema(
        #title,
        &[#((#names, <#types as ::spanwise::Value>::json_schema(), #required)),*],
    ));
    Ok(as_structure(name, &schema))
}

/// How serde stores a field.
struct Stored {
    name: String,
    has_default: bool,
}

impl Stored {
    fn read(field: &Field) -> syn::Result<Stored> {
        let name = field.ident.as_ref().map(ToString::to_string).unwrap_or_default();
        let mut stored = Stored { name, has_default: false };
        for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("serde")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("flatten") {
                    return Err(meta.error("a flattened field has no place in the schema of a value"));
                }
                stored.has_default |= meta.path.is_ident("default");
                if meta.path.is_ident("rename") && meta.input.peek(Token![=]) {
                    stored.name = meta.value()?.parse::<LitStr>()?.value();
                } else if meta.input.peek(Token![=]) {
                    meta.value()?.parse::<Lit>()?;
                } else if meta.input.peek(token::Paren) {
                    meta.parse_nested_meta(|inner| inner.value()?.parse::<Lit>().map(|_| ()))?;
                }
                Ok(())
            })?;
        }
        Ok(stored)
    }
}

/// A value that is msgpack on the wire and described by a JSON schema.
fn as_structure(name: &Ident, schema: &TokenStream) -> TokenStream {
    quote! {
        impl ::spanwise::Value for #name {
            fn literal_type() -> ::spanwise::__private::LiteralType {
                ::spanwise::__private::LiteralType::dataclass(<Self as ::spanwise::Value>::json_schema())
            }

            fn json_schema() -> ::spanwise::__private::Json {
                #schema
            }

            fn to_literal(&self) -> ::std::result::Result<::spanwise::__private::Literal, ::spanwise::ValueError> {
                ::spanwise::__private::structure_to_literal(self)
            }

            fn from_literal(
                literal: &::spanwise::__private::Literal,
            ) -> ::std::result::Result<Self, ::spanwise::ValueError> {
                ::spanwise::__private::structure_from_literal(literal)
            }
        }
    }
}

fn enumeration(name: &Ident, data: &DataEnum) -> syn::Result<TokenStream> {
    if data.variants.is_empty() {
        return Err(syn::Error::new_spanned(name, "an enum without variants has no values"));
    }
    let variants: Vec<&Ident> = data.variants.iter().map(|variant| &variant.ident).collect();
    if data.variants.iter().any(|variant| !matches!(variant.fields, Fields::Unit)) {
        let title = name.to_string();
        let schema = quote!(::spanwise::__private::json!({"title": #title}));
        return Ok(as_structure(name, &schema));
    }
    let names: Vec<String> = variants.iter().map(ToString::to_string).collect();
    Ok(quote! {
        impl ::spanwise::Value for #name {
            fn literal_type() -> ::spanwise::__private::LiteralType {
                ::spanwise::__private::LiteralType::enumeration([#(#names),*])
            }

            fn json_schema() -> ::spanwise::__private::Json {
                ::spanwise::__private::json!({"enum": [#(#names),*]})
            }

            fn to_literal(&self) -> ::std::result::Result<::spanwise::__private::Literal, ::spanwise::ValueError> {
                let name = match self {
                    #(#name::#variants => #names,)*
                };
                ::std::result::Result::Ok(::spanwise::__private::Literal::string(name))
            }

            fn from_literal(
                literal: &::spanwise::__private::Literal,
            ) -> ::std::result::Result<Self, ::spanwise::ValueError> {
                ::spanwise::__private::enumeration_from_literal(literal, &[#((#names, || #name::#variants)),*])
            }
        }
    })
}
