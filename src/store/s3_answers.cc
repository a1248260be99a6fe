#include "store/s3_answers.h"

#include <fmt/format.h>

#include <charconv>
#include <cstring>
#include <pugixml.hpp>

#include "base/time_text.h"

namespace millrace::store {

namespace {

// Loads the document and gives its root where that is an element of the name.
Result<pugi::xml_node> root_of(pugi::xml_document& document, std::string_view xml,
                               const char* name) {
  const auto parsed = document.load_buffer(xml.data(), xml.size());
  const pugi::xml_node root = document.document_element();
  if (parsed && std::strcmp(root.name(), name) == 0) return root;
  return fail(Errc::corrupt, fmt::format("the answer is no {}: {}", name, xml.substr(0, 200)));
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// "encoding-type=url": what XML cannot hold comes as %XX, a blank as a plus sign.
std::string url_decoded(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool is_escape = text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 &&
                           hex_digit(text[i + 2]) >= 0;
    if (is_escape) {
      decoded += static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
      i += 2;
    } else {
      decoded += text[i] == '+' ? ' ' : text[i];
    }
  }
  return decoded;
}

class KeyReader {
 public:
  explicit KeyReader(const pugi::xml_node& root)
      : is_encoded_(std::strcmp(root.child_value("EncodingType"), "url") == 0) {}
  std::string operator()(const char* text) const { return is_encoded_ ? url_decoded(text) : text; }

 private:
  bool is_encoded_;
};

Result<Timestamp> time_of(const pugi::xml_node& node, const char* name) {
  auto time = parse_rfc3339(node.child_value(name));
  if (time) return *time;
  return fail(Errc::corrupt, fmt::format("{} \"{}\" is no time", name, node.child_value(name)));
}

}  // namespace

S3ErrorBody parse_s3_error(std::string_view xml) {
  pugi::xml_document document;
  if (!document.load_buffer(xml.data(), xml.size())) return {};
  const pugi::xml_node root = document.child("Error");
  return {root.child_value("Code"), root.child_value("Message"), root.child_value("Region")};
}

bool is_s3_document(std::string_view xml, std::string_view element) {
  pugi::xml_document document;
  return document.load_buffer(xml.data(), xml.size()) &&
         document.document_element().name() == element;
}

Result<S3ListPage> parse_s3_list_page(std::string_view xml) {
  pugi::xml_document document;
  MR_TRY_ASSIGN(const pugi::xml_node root, root_of(document, xml, "ListBucketResult"));
  const KeyReader key_of(root);
  S3ListPage page;
  for (const pugi::xml_node& node : root.children("Contents")) {
    ObjectInfo& object = page.objects.emplace_back();
    object.key = key_of(node.child_value("Key"));
    const std::string_view size = node.child_value("Size");
    const auto parsed = std::from_chars(size.data(), size.data() + size.size(), object.size_bytes);
    if (parsed.ec != std::errc() || object.key.empty()) {
      return fail(Errc::corrupt, fmt::format("a listing has \"{}\" of size \"{}\"",
                                             node.child_value("Key"), size));
    }
    MR_TRY_ASSIGN(object.modified, time_of(node, "LastModified"));
  }
  for (const pugi::xml_node& node : root.children("CommonPrefixes")) {
    page.folders.push_back(key_of(node.child_value("Prefix")));
  }
  if (std::strcmp(root.child_value("IsTruncated"), "true") == 0) {
    page.continuation_token = root.child_value("NextContinuationToken");
    if (page.continuation_token.empty()) {
      return fail(Errc::corrupt, "a listing is truncated and does not say how it goes on");
    }
  }
  return page;
}

Result<std::string> parse_s3_upload_id(std::string_view xml) {
  pugi::xml_document document;
  MR_TRY_ASSIGN(const pugi::xml_node root, root_of(document, xml, "InitiateMultipartUploadResult"));
  std::string upload_id = root.child_value("UploadId");
  if (upload_id.empty()) return fail(Errc::corrupt, "the answer has no UploadId");
  return upload_id;
}

std::string s3_part_list(const std::vector<std::string>& etags) {
  std::string xml = "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">";
  for (std::size_t i = 0; i < etags.size(); ++i) {
    xml += fmt::format("<Part><PartNumber>{}</PartNumber><ETag>{}</ETag></Part>", i + 1, etags[i]);
  }
  return xml + "</CompleteMultipartUpload>";
}

Result<S3UploadPage> parse_s3_upload_page(std::string_view xml) {
  pugi::xml_document document;
  MR_TRY_ASSIGN(const pugi::xml_node root, root_of(document, xml, "ListMultipartUploadsResult"));
  S3UploadPage page;
  for (const pugi::xml_node& node : root.children("Upload")) {
    S3Upload& upload = page.uploads.emplace_back();
    upload.key = node.child_value("Key");
    upload.upload_id = node.child_value("UploadId");
    MR_TRY_ASSIGN(upload.started, time_of(node, "Initiated"));
  }
  if (std::strcmp(root.child_value("IsTruncated"), "true") == 0) {
    page.next_key_marker = root.child_value("NextKeyMarker");
    page.next_upload_id_marker = root.child_value("NextUploadIdMarker");
  }
  return page;
}

}  // namespace millrace::store
