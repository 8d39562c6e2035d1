//! The operations of S3 that clients of a blob store need, over [`Blobs`].
//!
//! Content types, user metadata, tags and versions are taken and forgotten.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use s3s::dto::*;
use s3s::{S3, S3Error, S3Request, S3Response, S3Result, s3_error};
use spanwise_blobs::{
    Announced, BUCKET, BlobUri, Blobs, Content, Listed, Mode, Object as BlobObject, Page, Part, Query,
};

use super::answer::refused;
use crate::blobs::byte_range;

/// S3's limits.
const MAX_PAGE: i32 = 1000;
const MAX_PART: i32 = 10_000;

/// The entity tag of nothing.
const EMPTY_MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";

pub(super) struct Objects {
    blobs: Blobs,
}

impl Objects {
    pub(super) fn new(blobs: Blobs) -> Objects {
        Objects { blobs }
    }

    async fn find(&self, bucket: &str, key: &str) -> S3Result<(BlobUri, BlobObject)> {
        let uri = source(bucket, key)?;
        let object = self.blobs.head(&uri).await.map_err(refused)?.ok_or_else(|| missing(key))?;
        Ok((uri, object))
    }

    async fn page(&self, query: PageQuery<'_>) -> S3Result<Page> {
        check_bucket(query.bucket)?;
        let fold = match query.delimiter.as_deref() {
            None | Some("") => false,
            Some("/") => true,
            Some(other) => return Err(s3_error!(NotImplemented, "the delimiter `{other}` is not supported, only `/`")),
        };
        let limit = usize::try_from(page_size(query.max_keys))
            .map_err(|_| s3_error!(InvalidArgument, "max-keys must not be negative"))?;
        let prefix = query.prefix.unwrap_or_default();
        self.blobs.page(Query { prefix, after: query.after, fold, limit }).await.map_err(refused)
    }
}

struct PageQuery<'a> {
    bucket: &'a str,
    prefix: Option<String>,
    delimiter: Option<String>,
    max_keys: Option<i32>,
    after: String,
}

fn check_bucket(bucket: &str) -> S3Result<()> {
    if bucket == BUCKET { Ok(()) } else { Err(s3_error!(NoSuchBucket, "there is no bucket but `{BUCKET}`")) }
}

fn missing(key: &str) -> S3Error {
    s3_error!(NoSuchKey, "s3://{BUCKET}/{key} does not exist")
}

/// A name to read from. A key that cannot be a name is a name of nothing.
fn source(bucket: &str, key: &str) -> S3Result<BlobUri> {
    check_bucket(bucket)?;
    BlobUri::from_key(key).map_err(|_| missing(key))
}

/// True for the empty object behind a `/` by which some clients (pyarrow) make a directory: one is there here with its first blob, so there
/// is nothing to be stored.
fn is_directory(bucket: &str, key: &str, length: Option<i64>) -> S3Result<bool> {
    check_bucket(bucket)?;
    let is_name = key.strip_suffix('/').is_some_and(|key| BlobUri::from_key(key).is_ok());
    Ok(is_name && length == Some(0))
}

/// A name to write to.
fn target(bucket: &str, key: &str) -> S3Result<BlobUri> {
    check_bucket(bucket)?;
    BlobUri::from_key(key).map_err(|error| s3_error!(InvalidArgument, "{error}"))
}

fn page_size(most: Option<i32>) -> i32 {
    most.map_or(MAX_PAGE, |most| most.min(MAX_PAGE))
}

fn bytes(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn announced(size: Option<i64>, md5: Option<&str>) -> S3Result<Announced> {
    let size =
        size.map(u64::try_from).transpose().map_err(|_| s3_error!(InvalidArgument, "content-length is negative"))?;
    let digest = |md5| STANDARD.decode(md5).ok().and_then(|bytes| bytes.try_into().ok());
    let md5 = match md5 {
        Some(md5) => {
            Some(digest(md5).ok_or_else(|| s3_error!(InvalidDigest, "content-md5 is not an MD5 digest in base64"))?)
        }
        None => None,
    };
    Ok(Announced { size, md5, limit: None })
}

fn mode(if_match: Option<&IfMatch>, if_none_match: Option<&IfNoneMatch>) -> S3Result<Mode> {
    match (if_match, if_none_match) {
        (None, None) => Ok(Mode::Replace),
        (None, Some(ETagCondition::Any)) => Ok(Mode::Create),
        _ => Err(s3_error!(NotImplemented, "of conditional writes only `If-None-Match: *` is supported")),
    }
}

/// The conditions of RFC 9110 on tags; those on times have a resolution of a second and are left out.
fn check_conditions(
    object: &BlobObject,
    if_match: Option<&IfMatch>,
    if_none_match: Option<&IfNoneMatch>,
) -> S3Result<()> {
    let holds = |condition: &ETagCondition| match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(etag) => etag.value() == object.etag,
    };
    if if_match.is_some_and(|condition| !holds(condition)) {
        return Err(s3_error!(PreconditionFailed));
    }
    if if_none_match.is_some_and(holds) {
        return Err(s3_error!(NotModified));
    }
    Ok(())
}

fn etag(object: &BlobObject) -> Option<ETag> {
    Some(ETag::Strong(object.etag.clone()))
}

fn modified(object: &BlobObject) -> Option<Timestamp> {
    Some(object.modified.into())
}

fn contents(blobs: Vec<Listed>) -> Option<Vec<Object>> {
    let entry = |blob: Listed| Object {
        e_tag: etag(&blob.object),
        last_modified: modified(&blob.object),
        size: Some(bytes(blob.object.size)),
        key: Some(blob.uri.key().to_owned()),
        ..Object::default()
    };
    Some(blobs.into_iter().map(entry).collect())
}

fn common_prefixes(prefixes: Vec<String>) -> Option<Vec<CommonPrefix>> {
    Some(prefixes.into_iter().map(|prefix| CommonPrefix { prefix: Some(prefix) }).collect())
}

fn part_number(number: i32) -> S3Result<u32> {
    match u32::try_from(number) {
        Ok(valid) if (1..=MAX_PART).contains(&number) => Ok(valid),
        _ => Err(s3_error!(InvalidArgument, "part number {number} is not in 1..={MAX_PART}")),
    }
}

fn part_list(upload: Option<CompletedMultipartUpload>) -> S3Result<Vec<Part>> {
    let mut parts = Vec::new();
    for part in upload.and_then(|upload| upload.parts).unwrap_or_default() {
        let number = part_number(part.part_number.unwrap_or_default())?;
        parts.push(Part { number, etag: part.e_tag.map(ETag::into_value) });
    }
    if parts.is_empty() {
        return Err(s3_error!(MalformedXML, "an upload is completed with at least one part"));
    }
    if parts.windows(2).any(|pair| pair[0].number >= pair[1].number) {
        return Err(s3_error!(InvalidPartOrder));
    }
    Ok(parts)
}

#[async_trait::async_trait]
impl S3 for Objects {
    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        let uri = source(&input.bucket, &input.key)?;
        let content = self.blobs.content(&uri, input.range.map(byte_range)).await.map_err(refused)?;
        let Content { object, range, bytes: body } = content.ok_or_else(|| missing(&input.key))?;
        check_conditions(&object, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let range = range.ok_or_else(|| s3_error!(InvalidRange))?;
        let part = |_| format!("bytes {}-{}/{}", range.start, range.end - 1, object.size);
        let content_range = input.range.map(part);
        let output = GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(bytes(range.end - range.start)),
            content_range,
            e_tag: etag(&object),
            last_modified: modified(&object),
            body: Some(StreamingBlob::wrap(body)),
            ..GetObjectOutput::default()
        };
        Ok(S3Response::new(output))
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = request.input;
        let (_, object) = self.find(&input.bucket, &input.key).await?;
        check_conditions(&object, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let output = HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(bytes(object.size)),
            e_tag: etag(&object),
            last_modified: modified(&object),
            ..HeadObjectOutput::default()
        };
        Ok(S3Response::new(output))
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let input = request.input;
        if is_directory(&input.bucket, &input.key, input.content_length)? {
            let e_tag = Some(ETag::Strong(EMPTY_MD5.to_owned()));
            return Ok(S3Response::new(PutObjectOutput { e_tag, ..PutObjectOutput::default() }));
        }
        let uri = target(&input.bucket, &input.key)?;
        let announced = announced(input.content_length, input.content_md5.as_deref())?;
        let mode = mode(input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let body = input.body.unwrap_or_else(|| s3s::Body::empty().into());
        let object = self.blobs.put_stream(&uri, body, &announced, mode).await.map_err(refused)?;
        Ok(S3Response::new(PutObjectOutput { e_tag: etag(&object), ..PutObjectOutput::default() }))
    }

    async fn copy_object(&self, request: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
        let input = request.input;
        let to = target(&input.bucket, &input.key)?;
        let CopySource::Bucket { bucket, key, .. } = &input.copy_source else {
            return Err(s3_error!(NotImplemented, "a copy's source is named by bucket and key"));
        };
        let (from, _) = self.find(bucket, key).await?;
        let object = self.blobs.copy(&from, &to).await.map_err(refused)?;
        let result =
            CopyObjectResult { e_tag: etag(&object), last_modified: modified(&object), ..CopyObjectResult::default() };
        Ok(S3Response::new(CopyObjectOutput { copy_object_result: Some(result), ..CopyObjectOutput::default() }))
    }

    async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        check_bucket(&request.input.bucket)?;
        if let Ok(uri) = BlobUri::from_key(&request.input.key) {
            self.blobs.delete(&uri).await.map_err(refused)?;
        }
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let input = request.input;
        check_bucket(&input.bucket)?;
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        for ObjectIdentifier { key, .. } in input.delete.objects {
            let done = match BlobUri::from_key(&key) {
                Ok(uri) => self.blobs.delete(&uri).await.map_err(refused),
                Err(_) => Ok(()),
            };
            match done {
                Ok(()) => deleted.push(DeletedObject { key: Some(key), ..DeletedObject::default() }),
                Err(error) => errors.push(Error {
                    code: Some(error.code().as_str().to_owned()),
                    message: error.message().map(str::to_owned),
                    key: Some(key),
                    ..Error::default()
                }),
            }
        }
        let deleted = (!input.delete.quiet.unwrap_or_default()).then_some(deleted);
        Ok(S3Response::new(DeleteObjectsOutput { deleted, errors: Some(errors), ..DeleteObjectsOutput::default() }))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        let after = match &input.continuation_token {
            None => input.start_after.clone().unwrap_or_default(),
            Some(token) => URL_SAFE_NO_PAD
                .decode(token)
                .ok()
                .and_then(|after| String::from_utf8(after).ok())
                .ok_or_else(|| s3_error!(InvalidArgument, "the continuation token is not one of this server"))?,
        };
        let query = PageQuery {
            bucket: &input.bucket,
            prefix: input.prefix.clone(),
            delimiter: input.delimiter.clone(),
            max_keys: input.max_keys,
            after,
        };
        let page = self.page(query).await?;
        let output = ListObjectsV2Output {
            key_count: i32::try_from(page.blobs.len() + page.prefixes.len()).ok(),
            max_keys: Some(page_size(input.max_keys)),
            is_truncated: Some(page.next.is_some()),
            next_continuation_token: page.next.map(|after| URL_SAFE_NO_PAD.encode(after)),
            contents: contents(page.blobs),
            common_prefixes: common_prefixes(page.prefixes),
            name: Some(input.bucket),
            prefix: input.prefix,
            delimiter: input.delimiter,
            start_after: input.start_after,
            continuation_token: input.continuation_token,
            ..ListObjectsV2Output::default()
        };
        Ok(S3Response::new(output))
    }

    async fn list_objects(&self, request: S3Request<ListObjectsInput>) -> S3Result<S3Response<ListObjectsOutput>> {
        let input = request.input;
        let marker = input.marker.clone().unwrap_or_default();
        // In this version the last prefix of a page is itself the place to go on from.
        let is_prefix = input.delimiter.is_some() && marker.ends_with('/');
        let query = PageQuery {
            bucket: &input.bucket,
            prefix: input.prefix.clone(),
            delimiter: input.delimiter.clone(),
            max_keys: input.max_keys,
            after: if is_prefix { Query::after_all_of(&marker) } else { marker },
        };
        let page = self.page(query).await?;
        let output = ListObjectsOutput {
            max_keys: Some(page_size(input.max_keys)),
            is_truncated: Some(page.next.is_some()),
            next_marker: page.next.map(|after| after.trim_end_matches('\u{10FFFF}').to_owned()),
            contents: contents(page.blobs),
            common_prefixes: common_prefixes(page.prefixes),
            name: Some(input.bucket),
            prefix: input.prefix,
            delimiter: input.delimiter,
            marker: input.marker,
            ..ListObjectsOutput::default()
        };
        Ok(S3Response::new(output))
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let CreateMultipartUploadInput { bucket, key, .. } = request.input;
        let id = self.blobs.begin_upload(&target(&bucket, &key)?).await.map_err(refused)?;
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(bucket),
            key: Some(key),
            upload_id: Some(id),
            ..CreateMultipartUploadOutput::default()
        }))
    }

    async fn upload_part(&self, request: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        let input = request.input;
        let uri = target(&input.bucket, &input.key)?;
        let number = part_number(input.part_number)?;
        let announced = announced(input.content_length, input.content_md5.as_deref())?;
        let body = input.body.unwrap_or_else(|| s3s::Body::empty().into());
        let etag = self.blobs.put_part(&uri, &input.upload_id, number, body, &announced).await.map_err(refused)?;
        Ok(S3Response::new(UploadPartOutput { e_tag: Some(ETag::Strong(etag)), ..UploadPartOutput::default() }))
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = request.input;
        let uri = target(&input.bucket, &input.key)?;
        let mode = mode(input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let parts = part_list(input.multipart_upload)?;
        let object = self.blobs.complete_upload(&uri, &input.upload_id, parts, mode).await.map_err(refused)?;
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: etag(&object),
            ..CompleteMultipartUploadOutput::default()
        }))
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let input = request.input;
        let uri = target(&input.bucket, &input.key)?;
        self.blobs.abort_upload(&uri, &input.upload_id).await.map_err(refused)?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }

    async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        check_bucket(&request.input.bucket)?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn list_buckets(&self, _: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        let creation_date = Some(SystemTime::UNIX_EPOCH.into());
        let bucket = Bucket { name: Some(BUCKET.to_owned()), creation_date, ..Bucket::default() };
        Ok(S3Response::new(ListBucketsOutput { buckets: Some(vec![bucket]), ..ListBucketsOutput::default() }))
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        check_bucket(&request.input.bucket)?;
        Ok(S3Response::new(GetBucketLocationOutput::default()))
    }
}
