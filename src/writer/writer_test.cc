#include "writer/writer.h"

#include <gtest/gtest.h>

#include "writer/table_schemas.h"
#include "writer/testing/writer_world.h"

namespace millrace::writer {
namespace {

using namespace std::chrono_literals;
using Strings = std::multiset<std::string>;

class WriterTest : public testing::Test, protected WriterWorld {};

TEST_F(WriterTest, WritesEachRecordUnderItsOwnDayWithWhatTheRequestSaid) {
  record::Batch batch;
  batch.site = "example";
  batch.batch_id = "key/1";
  batch.received_at = clock.now();
  append_record(batch, "2026-11-24T23:59:59.999999Z", "/late");
  append_record(batch, "2026-11-25T00:00:00Z", "/early");
  append_batch(batch);
  RunningWriter running = start();
  run(running);

  auto found = rows("access_logs");
  ASSERT_EQ(found.size(), 2U);
  std::sort(found.begin(), found.end(),
            [](const auto& left, const auto& right) { return left.at("path") < right.at("path"); });
  const columnar::Row early = {{"timestamp", "2026-11-25T00:00:00.000000Z"},
                               {"site", "example"},
                               {"path", "/early"},
                               {"received_at", "2026-11-24T12:00:00.000000Z"},
                               {"batch_id", "key/1"},
                               {"bot_list", crawlers::CrawlerList::built_in()->version()},
                               {"date", "2026-11-25"}};
  EXPECT_EQ(found[0], early);
  EXPECT_EQ(found[1].at("date"), "2026-11-24");
  EXPECT_EQ(rows("dead_letters").size(), 0U);
}

TEST_F(WriterTest, NamesTheCrawlers) {
  record::Batch batch;
  batch.site = "example";
  batch.received_at = clock.now();
  append_record(batch, "2026-11-24T10:00:00Z", "/a", "Mozilla/5.0 (compatible; GPTBot/1.2)");
  append_record(batch, "2026-11-24T10:00:00Z", "/b",
                "Mozilla/5.0 (X11; Linux x86_64) Firefox/141.0");
  append_record(batch, "2026-11-24T10:00:00Z", "/c");
  append_batch(batch);
  RunningWriter running = start();
  run(running);
  const std::string version = crawlers::CrawlerList::built_in()->version();
  auto found = rows("access_logs");
  ASSERT_EQ(found.size(), 3U);
  for (columnar::Row& row : found) {
    EXPECT_EQ(row["bot_list"], version);
    const bool is_crawler = row["path"] == "/a";
    EXPECT_EQ(row.contains("bot"), is_crawler);
    if (!is_crawler) continue;
    EXPECT_EQ(row["bot"], "GPTBot");
    EXPECT_EQ(row["bot_operator"], "OpenAI");
    EXPECT_EQ(row["bot_category"], "ai_crawler");
  }
}

TEST_F(WriterTest, NamesTheCrawlersInATableThatIsOlderThanThat) {
  columnar::TableSchema older = access_logs_schema();
  std::erase_if(older.columns, [](const auto& column) { return column.name.starts_with("bot"); });
  ASSERT_TRUE(delta::DeltaTable::open_or_create(memory, clock, access_logs_root, older));
  append({"/a"});
  RunningWriter running = start();
  run(running);
  EXPECT_TRUE(rows("access_logs").at(0).contains("bot_list"));
  const auto table = delta::DeltaTable::open(memory, clock, access_logs_root);
  const auto& columns = table->snapshot().schema.columns;
  for (const auto& column : access_logs_schema().columns) {
    EXPECT_NE(std::find(columns.begin(), columns.end(), column), columns.end()) << column.name;
  }
}

TEST_F(WriterTest, KeepsRejectsAsDeadLetters) {
  append({"/good"}, {"bad"});
  RunningWriter running = start();
  run(running);
  EXPECT_EQ(paths(), Strings{"/good"});
  const std::vector<columnar::Row> want = {{{"received_at", "2026-11-24T12:00:00.000000Z"},
                                            {"site", "example"},
                                            {"source", "request"},
                                            {"reason", "refused"},
                                            {"field", "path"},
                                            {"payload", "bad"},
                                            {"date", "2026-11-24"}}};
  EXPECT_EQ(rows("dead_letters"), want);
}

TEST_F(WriterTest, MakesDeadLettersOfWhatItCannotRead) {
  append({"/before"});
  journal.append_corrupt(first_partition, "checksum does not match");
  journal.append(first_partition,
                 {.key = {}, .value = "\xFF" + std::string(9000, 'x'), .headers = {}});
  record::Batch batch;
  batch.site = "example";
  batch.received_at = clock.now();
  append_record(batch, "2026-11-24T10:00:00Z", "/line1");
  batch.records += "{\"path\":\n";
  append_record(batch, "2026-11-24T10:00:00Z", "/line3");
  ++batch.record_count;
  append_batch(batch);
  RunningWriter running = start();
  run(running);

  EXPECT_EQ(paths(), (Strings{"/before", "/line1", "/line3"}));
  const auto dead = rows("dead_letters");
  ASSERT_EQ(dead.size(), 3U);
  for (const columnar::Row& row : dead) EXPECT_EQ(row.at("source"), "journal");
  EXPECT_TRUE(dead[0].at("reason").starts_with("partition 0, offset 1: checksum does not match"));
  EXPECT_TRUE(dead[1].at("reason").starts_with("partition 0, offset 2: "));
  EXPECT_EQ(dead[1].at("payload"), "\\xFF" + std::string(4092, 'x'));
  EXPECT_TRUE(dead[2].at("reason").starts_with("partition 0, offset 3: "));
  EXPECT_EQ(dead[2].at("payload"), "{\"path\":");
  EXPECT_EQ(dead[2].at("site"), "example");
}

TEST_F(WriterTest, FlushesWhenDueAndNotBefore) {
  append({"/a"});
  RunningWriter running = start();
  ASSERT_TRUE(running.writer->run_once({}));
  clock.advance(59s);
  ASSERT_TRUE(running.writer->run_once({}));
  EXPECT_EQ(paths(), Strings{});
  clock.advance(1s);
  ASSERT_TRUE(running.writer->run_once({}));
  EXPECT_EQ(paths(), Strings{"/a"});
  EXPECT_EQ(version("access_logs"), 1);
  run(running, 5);
  EXPECT_EQ(version("access_logs"), 1) << "nothing read, nothing committed";
}

TEST_F(WriterTest, FlushesInTheMiddleOfAPollAtALimit) {
  options.flush.records_max = 2;
  for (int i = 0; i < 5; ++i) append({"/" + std::to_string(i)});
  RunningWriter running = start();
  ASSERT_TRUE(running.writer->run_once({}));
  EXPECT_EQ(position("access_logs"), 4);
  EXPECT_EQ(paths().size(), 4U);
}

TEST_F(WriterTest, CommitsThePositionWithoutFiles) {
  append({}, {"bad"});
  append({});
  RunningWriter running = start();
  run(running);
  EXPECT_EQ(position("access_logs"), 2);
  EXPECT_EQ(position("dead_letters"), 2);
  EXPECT_EQ(dead_payloads(), Strings{"bad"});
  EXPECT_EQ(journal.committed.at(first_partition), journal::Offset(2));
}

TEST_F(WriterTest, LeavesDeadLettersAloneWhereThereAreNone) {
  append({"/a"});
  RunningWriter running = start();
  run(running);
  EXPECT_EQ(position("dead_letters"), std::nullopt);
  EXPECT_EQ(journal.committed.at(first_partition), journal::Offset(1));
}

TEST_F(WriterTest, DrainCommitsWhatWasRead) {
  append({"/a"});
  RunningWriter running = start();
  ASSERT_TRUE(running.writer->run_once({}));
  ASSERT_TRUE(running.writer->drain());
  EXPECT_EQ(paths(), Strings{"/a"});
}

TEST_F(WriterTest, GoesOnWhereThePreviousWriterStopped) {
  append({"/committed"}, {"bad1"});
  {
    RunningWriter running = start();
    run(running);
  }
  append({"/read and lost"}, {"bad2"});
  {
    RunningWriter running = start();
    ASSERT_TRUE(running.writer->run_once({}));
  }
  RunningWriter running = start();
  run(running);
  EXPECT_EQ(paths(), (Strings{"/committed", "/read and lost"}));
  EXPECT_EQ(dead_payloads(), (Strings{"bad1", "bad2"}));
}

TEST_F(WriterTest, OfTwoWritersOfAPartitionTheSecondToCommitIsFencedAndGoesOn) {
  append({"/a"}, {"bad1"});
  append({"/b"});
  RunningWriter zombie = start();
  ASSERT_TRUE(zombie.writer->run_once({}));
  append({"/c"}, {"bad2"});
  RunningWriter owner = start();
  run(owner);

  append({"/d"}, {"bad3"});
  run(zombie);
  run(owner);
  EXPECT_EQ(paths(), (Strings{"/a", "/b", "/c", "/d"}));
  EXPECT_EQ(dead_payloads(), (Strings{"bad1", "bad2", "bad3"}));
  EXPECT_EQ(position("access_logs"), 4);
}

TEST_F(WriterTest, AZombieAheadWithDeadLettersLosesAndDoublesNothing) {
  append({"/a"});
  RunningWriter zombie = start();
  ASSERT_TRUE(zombie.writer->run_once({}));
  RunningWriter owner = start();
  run(owner);  // Access logs stand at 1, dead letters have no position.
  append({"/b"}, {"bad"});
  ASSERT_TRUE(zombie.writer->run_once({}));
  ASSERT_TRUE(owner.writer->run_once({}));
  ASSERT_TRUE(zombie.writer->drain());  // Dead letters go to 2, access logs are fenced.
  EXPECT_EQ(position("dead_letters"), 2);
  EXPECT_EQ(position("access_logs"), 1);
  append({"/c"}, {"bad2"});
  run(owner);
  EXPECT_EQ(paths(), (Strings{"/a", "/b", "/c"}));
  EXPECT_EQ(dead_payloads(), (Strings{"bad", "bad2"}));
}

// What another program put into the journal: JSON lines without any header.
TEST_F(WriterTest, TakesRecordsThatOtherProgramsAppended) {
  journal.append(first_partition, {.key = "",
                                   .value = R"({"ts":1767323045,"path":"/foreign"})"
                                            "\nnonsense\n"
                                            R"({"path":"/no-time"})",
                                   .headers = {{"traceparent", "00"}}});
  append({"/ours"});
  RunningWriter running = start();
  run(running);
  EXPECT_EQ(paths(), (Strings{"/foreign", "/ours"}));
  EXPECT_EQ(dead_payloads(), (Strings{"nonsense", R"({"path":"/no-time"})"}));
}

TEST_F(WriterTest, FlushesBeforeAPartitionIsTakenAway) {
  append({"/a"});
  append({"/b"}, {}, second_partition);
  RunningWriter running = start(memory, 100, {first_partition, second_partition});
  ASSERT_TRUE(running.writer->run_once({}));
  running.consumer->revoke({first_partition});
  append({"/not ours"});
  append({"/c"}, {}, second_partition);
  ASSERT_TRUE(running.writer->run_once({}));
  EXPECT_EQ(paths(), (Strings{"/a", "/b"}));
  run(running);
  EXPECT_EQ(paths(), (Strings{"/a", "/b", "/c"}));
  EXPECT_EQ(position("access_logs", first_partition), 1);
}

TEST_F(WriterTest, DropsEverythingWhenAPartitionIsLostAndReadsTheRestAgain) {
  append({"/a"});
  append({"/b"}, {"bad"}, second_partition);
  RunningWriter running = start(memory, 100, {first_partition, second_partition});
  ASSERT_TRUE(running.writer->run_once({}));
  running.consumer->lose({first_partition});
  append({"/c"}, {}, second_partition);
  run(running);
  EXPECT_EQ(paths(), (Strings{"/b", "/c"}));
  EXPECT_EQ(dead_payloads(), Strings{"bad"});
  EXPECT_EQ(position("access_logs", first_partition), std::nullopt);

  RunningWriter other = start();
  run(other);
  EXPECT_EQ(paths(), (Strings{"/a", "/b", "/c"}));
}

TEST_F(WriterTest, StopsWhereTheJournalEndsBeforeTheTableOfDeadLetters) {
  append({"/a"}, {"bad"});
  RunningWriter running = start();
  run(running);
  journal.forget_everything();
  RunningWriter next = start();
  const auto outcome = next.writer->run_once({});
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Errc::corrupt);
}

TEST_F(WriterTest, StopsWhereTheJournalWasMadeAnew) {
  append({"/a"});
  RunningWriter running = start();
  run(running);
  auto table = *delta::DeltaTable::open(memory, clock, "access_logs");
  ASSERT_TRUE(table.commit(
      {.operation = "WRITE", .adds = {}, .removes = {}, .progress = {{"former-1", {}, 7}}}));
  RunningWriter heir = start(memory, 100, {second_partition});
  const auto outcome = heir.writer->run_once({});
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Errc::corrupt);
  EXPECT_NE(outcome.error().message.find("former-1 up to 7"), std::string::npos);
  append({"/b"});
  run(running);
  EXPECT_EQ(paths(), (Strings{"/a", "/b"})) << "the partition that has a position goes on";
}

// The flush of one partition's entries is refused before another's, of the same poll, are looked
// at.
TEST_F(WriterTest, ReadsAgainWhatItHeldOfEveryPartitionWhenItIsFenced) {
  options.flush.records_max = 1;
  RunningWriter running = start(memory, 100, {first_partition, second_partition});
  ASSERT_TRUE(running.writer->run_once({}));  // Neither partition has a position.
  append({"/a"});
  append({"/b"}, {}, second_partition);
  RunningWriter other = start();
  run(other, 1);
  run(running);
  EXPECT_EQ(registry.counter("millrace_writer_fenced_total", "").value(), 1);
  EXPECT_EQ(paths(), (Strings{"/a", "/b"}));
}

TEST_F(WriterTest, TellsItsLagAndTheAgeOfWhatIsNotCommitted) {
  Gauge& lag = registry.gauge("millrace_writer_lag_entries", "");
  Gauge& freshness = registry.gauge("millrace_writer_freshness_seconds", "");
  append({"/a"});
  RunningWriter running = start();
  ASSERT_TRUE(running.writer->run_once({}));
  clock.advance(30s);
  ASSERT_TRUE(running.writer->run_once({}));
  EXPECT_EQ(lag.value(), 1);
  EXPECT_EQ(freshness.value(), 30);
  clock.advance(30s);
  ASSERT_TRUE(running.writer->run_once({}));
  EXPECT_EQ(lag.value(), 0);
  EXPECT_EQ(freshness.value(), 0);
}

}  // namespace
}  // namespace millrace::writer
