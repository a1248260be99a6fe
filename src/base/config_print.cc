#include <cstddef>
#include <set>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "base/config.h"
#include "base/config_text.h"

namespace millrace {

// Writes ConfigKeys as YAML. The keys of list elements borrow what the whole configuration knows of
// them by their full path, such as the file that a secret came from.
class ConfigPrinter {
 public:
  explicit ConfigPrinter(const ConfigKeys& root) : root_(root) {}

  // Writes the keys of `section` ("" or "ingest."), each `indent` columns in. `shown` goes before
  // their paths to make them full.
  std::string keys_of(const ConfigKeys& keys, const std::string& section, const std::string& shown,
                      std::size_t indent, bool with_comments) const {
    std::string out;
    std::set<std::string> sections_done;
    const auto set_apart = [&out, with_comments] {
      if (with_comments && !out.empty()) out += '\n';
    };
    for (const ConfigKey& key : keys.keys_) {
      if (!key.path.starts_with(section)) continue;
      const std::string rest = key.path.substr(section.size());
      const std::size_t dot = rest.find('.');
      if (dot == std::string::npos) {
        set_apart();
        if (with_comments) out += comments(key, indent);
        out += value(key, rest, shown, indent);
        continue;
      }
      const std::string name = rest.substr(0, dot);
      if (!sections_done.insert(name).second) continue;
      set_apart();
      out += std::string(indent, ' ') + name + ":\n";
      out += keys_of(keys, section + name + ".", shown, indent + 2, with_comments);
    }
    return out;
  }

 private:
  // `text` over as many comment lines as it needs.
  static std::string comment(std::string_view text, std::size_t indent) {
    constexpr std::size_t line_size_max = 100;
    const std::string start = std::string(indent, ' ') + "#";
    std::string out;
    std::string line = start;
    while (!text.empty()) {
      const std::size_t blank = text.find(' ');
      const std::string_view word = text.substr(0, blank);
      text.remove_prefix(blank == std::string_view::npos ? text.size() : blank + 1);
      if (line.size() + 1 + word.size() > line_size_max && line != start) {
        out += line + "\n";
        line = start;
      }
      line += " ";
      line += word;
    }
    return out + line + "\n";
  }

  static std::string facts(const ConfigKey& key) {
    if (key.is_required) return key.type_text + ", required";
    if (key.kind == ConfigKey::Kind::secret) return key.type_text + ", no default";
    return fmt::format("{}, default {}", key.type_text, key.default_text);
  }

  static std::string comments(const ConfigKey& key, std::size_t indent) {
    std::string out = comment(key.sentence, indent) + comment(facts(key), indent);
    if (key.kind == ConfigKey::Kind::element_list) {
      ConfigKeys example;
      key.declare_example(example);
      for (const ConfigKey& part : example.keys_) {
        out += comment(fmt::format("- {}: {} ({})", part.path, part.sentence, facts(part)), indent);
      }
    }
    return out;
  }

  std::string value(const ConfigKey& key, const std::string& name, const std::string& shown,
                    std::size_t indent) const {
    const std::string start = std::string(indent, ' ') + name;
    switch (key.kind) {
      case ConfigKey::Kind::scalar: return start + ": " + key.write() + "\n";
      case ConfigKey::Kind::text: return start + ": " + quoted_yaml(key.write()) + "\n";
      case ConfigKey::Kind::secret: return start + secret(key, shown + key.path) + "\n";
      case ConfigKey::Kind::text_list:
      case ConfigKey::Kind::element_list: break;
    }
    if (key.size() == 0) return start + ": []\n";
    std::string out = start + ":\n";
    for (std::size_t i = 0; i < key.size(); ++i) out += list_item(key, i, shown, indent + 2);
    return out;
  }

  std::string secret(const ConfigKey& key, const std::string& full_path) const {
    const auto file = root_.secret_files_.find(full_path);
    if (file != root_.secret_files_.end()) return "_file: " + quoted_yaml(file->second);
    return fmt::format(": \"{}\"", key.write().empty() ? "" : secret_mask);
  }

  std::string list_item(const ConfigKey& key, std::size_t index, const std::string& shown,
                        std::size_t indent) const {
    const std::string dash = std::string(indent, ' ') + "- ";
    if (key.kind == ConfigKey::Kind::text_list) {
      return dash + quoted_yaml(key.text_item(index).write()) + "\n";
    }
    ConfigKeys element;
    key.declare(index, element);
    std::string out =
        keys_of(element, "", fmt::format("{}{}[{}].", shown, key.path, index), dash.size(), false);
    return out.replace(0, dash.size(), dash);
  }

  const ConfigKeys& root_;
};

std::string ConfigKeys::to_yaml() const {
  return ConfigPrinter(*this).keys_of(*this, "", "", 0, true);
}

}  // namespace millrace
