#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include "base/config.h"
#include "base/config_text.h"
#include "base/posix_file.h"

namespace millrace {
namespace {

constexpr std::string_view file_suffix = "_file";

std::string joined(const std::vector<std::string>& lines) {
  return fmt::format("{}", fmt::join(lines, "\n"));
}

// What a person would call the shape of a node.
std::string_view shape_of(const YAML::Node& node) {
  if (node.IsMap()) return "a section";
  if (node.IsSequence()) return "a list";
  return "a single value";
}

// "10:4", counted from 1; "" where the parser knows no place.
std::string place_in_file(const YAML::Mark& mark) {
  return mark.is_null() ? "" : fmt::format(":{}:{}", mark.line + 1, mark.column + 1);
}

}  // namespace

// One run of load() or set(): walks the nodes, sets the targets, and collects every error.
class ConfigLoader {
 public:
  // `file_name` is empty for set(): errors then start with the key.
  ConfigLoader(ConfigKeys& root, std::string file_name)
      : root_(root), file_name_(std::move(file_name)) {}

  Result<void> load_documents(const std::vector<YAML::Node>& documents) {
    if (documents.size() > 1) {
      return fail(Errc::invalid_argument, fmt::format("{}: has {} YAML documents (want one)",
                                                      file_name_, documents.size()));
    }
    const YAML::Node document = documents.empty() ? YAML::Node() : documents.front();
    if (document.IsNull() || document.IsMap()) {
      load_element(root_, document, "");
    } else {
      error(document.Mark(), "", fmt::format("want sections, not {}", shape_of(document)));
    }
    return outcome();
  }

  // Sets the one key at `path` of the root.
  Result<void> load_key(const std::string& path, const YAML::Node& value) {
    load_entry(root_, path, "", YAML::Mark::null_mark(), value);
    return outcome();
  }

 private:
  Result<void> outcome() const {
    if (errors_.empty()) return {};
    return fail(Errc::invalid_argument, joined(errors_));
  }

  void error(const YAML::Mark& mark, const std::string& shown_path, std::string_view message) {
    std::string line;
    if (!file_name_.empty()) line = file_name_ + place_in_file(mark) + ": ";
    if (!shown_path.empty()) line += shown_path + ": ";
    errors_.push_back(line.append(message));
  }

  // Loads all keys of the file or of one element of a list. `shown` goes before their paths.
  void load_element(const ConfigKeys& keys, const YAML::Node& node, const std::string& shown) {
    std::set<std::string> given;
    if (node.IsMap()) load_section(keys, node, "", shown, given);
    for (const ConfigKey& key : keys.keys_) {
      if (!key.is_required) continue;
      if (given.contains(key.path) && is_left(key, shown + key.path)) continue;
      const bool is_missing = !given.contains(key.path) || (key.write && key.write().empty());
      // A key that was given and refused has its own error already.
      if (is_missing && !refused_.contains(shown + key.path)) {
        error(node.Mark(), shown + key.path, "is required");
      }
    }
  }

  void load_section(const ConfigKeys& keys, const YAML::Node& node, const std::string& section,
                    const std::string& shown, std::set<std::string>& given) {
    std::set<std::string> names;
    for (const auto& entry : node) {
      const YAML::Mark mark = entry.first.Mark();
      if (!entry.first.IsScalar()) {
        error(mark, shown + section,
              fmt::format("a key must be a word, not {}", shape_of(entry.first)));
        continue;
      }
      const std::string name = entry.first.Scalar();
      const std::string path = section + name;
      if (!names.insert(name).second) {
        error(mark, shown + path, "is given twice");
      } else if (name.find('.') == std::string::npos && keys.has_section(path)) {
        if (entry.second.IsMap()) {
          load_section(keys, entry.second, path + ".", shown, given);
        } else if (!entry.second.IsNull()) {
          error(mark, shown + path, fmt::format("is a section, not {}", shape_of(entry.second)));
        }
      } else if (name.find('.') != std::string::npos) {
        error(mark, shown + path, "unknown key (sections are nested, not joined by dots)");
      } else if (const ConfigKey* key = load_entry(keys, path, shown, mark, entry.second)) {
        if (!given.insert(key->path).second) {
          error(mark, shown + path,
                fmt::format("give {} or {}{}, not both", key->path, key->path, file_suffix));
        }
      }
    }
  }

  // Sets one key, by its own name or by that of its file. Returns it, or null if there is none.
  const ConfigKey* load_entry(const ConfigKeys& keys, const std::string& path,
                              const std::string& shown, const YAML::Mark& mark,
                              const YAML::Node& value) {
    const std::string shown_path = shown + path;
    if (const ConfigKey* key = keys.find(path)) {
      if (!is_left(*key, shown_path)) load_value(*key, shown_path, mark, value);
      return key;
    }
    if (path.ends_with(file_suffix)) {
      const std::string base = path.substr(0, path.size() - file_suffix.size());
      const ConfigKey* key = keys.find(base);
      if (key != nullptr && key->kind == ConfigKey::Kind::secret) {
        if (!is_left(*key, shown + base)) {
          load_secret_file(*key, shown + base, shown_path, mark, value);
        }
        return key;
      }
    }
    std::vector<std::string> known;
    for (const ConfigKey& key : keys.keys_) {
      known.push_back(key.path);
      if (key.kind == ConfigKey::Kind::secret) known.push_back(key.path + std::string(file_suffix));
      for (std::size_t dot = key.path.find('.'); dot != std::string::npos;
           dot = key.path.find('.', dot + 1)) {
        known.push_back(key.path.substr(0, dot));
      }
    }
    const std::string nearest = nearest_path(path, known);
    error(mark, shown_path,
          nearest.empty()
              ? "unknown key"
              : fmt::format("unknown key (the nearest known key is {}{})", shown, nearest));
    return nullptr;
  }

  bool is_left(const ConfigKey& key, const std::string& shown_path) const {
    return key.kind == ConfigKey::Kind::secret && root_.leaves_secret(shown_path);
  }

  void load_value(const ConfigKey& key, const std::string& shown_path, const YAML::Mark& mark,
                  const YAML::Node& value) {
    root_.places_.erase(shown_path);
    if (!file_name_.empty()) root_.places_[shown_path] = file_name_ + place_in_file(mark);
    if (key.resize) {
      load_list(key, shown_path, mark, value);
      return;
    }
    const auto text = text_of(value, key.kind);
    if (!text) {
      refuse(shown_path, mark, text.error().message);
      return;
    }
    if (key.kind == ConfigKey::Kind::secret) {
      if (*text == secret_mask) return;
      root_.secret_files_.erase(shown_path);
    }
    if (const auto read = key.read(*text); !read) refuse(shown_path, mark, read.error().message);
  }

  void refuse(const std::string& shown_path, const YAML::Mark& mark, std::string_view message) {
    refused_.insert(shown_path);
    error(mark, shown_path, message);
  }

  // The text of a scalar, with its variables replaced.
  Result<std::string> text_of(const YAML::Node& value, ConfigKey::Kind kind) const {
    if (value.IsNull()) {
      const bool may_be_empty = kind == ConfigKey::Kind::text || kind == ConfigKey::Kind::secret;
      return fail(Errc::invalid_argument,
                  may_be_empty ? "has no value (write \"\" for an empty one)" : "has no value");
    }
    if (!value.IsScalar()) {
      return fail(Errc::invalid_argument,
                  fmt::format("wants a single value, not {}", shape_of(value)));
    }
    if (file_name_.empty()) return value.Scalar();
    return replace_variables(value.Scalar());
  }

  void load_secret_file(const ConfigKey& key, const std::string& key_path,
                        const std::string& shown_path, const YAML::Mark& mark,
                        const YAML::Node& value) {
    const auto file = text_of(value, ConfigKey::Kind::scalar);
    if (!file) {
      refused_.insert(key_path);
      error(mark, shown_path, file.error().message);
      return;
    }
    auto content = read_file(*file);
    auto outcome = content ? key.read(without_newline(*content))
                           : Result<void>(tl::unexpected(content.error()));
    if (!outcome) {
      refused_.insert(key_path);
      error(mark, shown_path, outcome.error().message);
      return;
    }
    root_.secret_files_[key_path] = *file;
  }

  static std::string_view without_newline(std::string_view content) {
    if (content.ends_with('\n')) content.remove_suffix(1);
    if (content.ends_with('\r')) content.remove_suffix(1);
    return content;
  }

  void load_list(const ConfigKey& key, const std::string& shown_path, const YAML::Mark& mark,
                 const YAML::Node& value) {
    if (!value.IsNull() && !value.IsSequence()) {
      refuse(shown_path, mark, fmt::format("wants a list, not {}", shape_of(value)));
      return;
    }
    forget_elements_of(shown_path);
    key.resize(value.size());
    for (std::size_t i = 0; i < value.size(); ++i) {
      const YAML::Node item = value[i];
      const std::string item_path = fmt::format("{}[{}]", shown_path, i);
      if (key.kind == ConfigKey::Kind::text_list) {
        load_value(key.text_item(i), item_path, item.Mark(), item);
      } else if (!item.IsMap()) {
        error(item.Mark(), item_path, fmt::format("wants keys and values, not {}", shape_of(item)));
      } else {
        ConfigKeys element;
        key.declare(i, element);
        load_element(element, item, item_path + ".");
      }
    }
  }

  // The list is given anew: what is known of its elements was about others.
  void forget_elements_of(const std::string& shown_path) {
    const auto is_element = [start = shown_path + "["](const auto& entry) {
      return entry.first.starts_with(start);
    };
    std::erase_if(root_.places_, is_element);
    std::erase_if(root_.secret_files_, is_element);
  }

  ConfigKeys& root_;
  std::string file_name_;
  std::vector<std::string> errors_;
  std::set<std::string> refused_;
};

Result<void> ConfigKeys::load(const std::string& file_path) {
  MR_TRY_ASSIGN(const std::string yaml, read_file(file_path));
  return load_text(yaml, file_path);
}

Result<void> ConfigKeys::load_text(const std::string& yaml, const std::string& file_name) {
  try {
    return ConfigLoader(*this, file_name).load_documents(YAML::LoadAll(yaml));
  } catch (const YAML::Exception& exception) {
    return fail(Errc::invalid_argument,
                fmt::format("{}{}: {}", file_name, place_in_file(exception.mark), exception.msg));
  }
}

Result<void> ConfigKeys::set(const std::string& path, const std::string& value) {
  const ConfigKey* key = find(path);
  try {
    const bool is_list = key != nullptr && key->resize;
    return ConfigLoader(*this, "").load_key(path, is_list ? YAML::Load(value) : YAML::Node(value));
  } catch (const YAML::Exception& exception) {
    return fail(Errc::invalid_argument, fmt::format("{}: {}", path, exception.msg));
  }
}

}  // namespace millrace
