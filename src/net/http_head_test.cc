#include "net/http_head.h"

#include <gtest/gtest.h>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <string>

namespace pie::net {
namespace {

using State = HeadScanner::State;

/// The state after the bytes have come one by one.
State scan(HeadScanner& scanner, const std::string& bytes) {
  for (size_t size = 1; size < bytes.size(); ++size) {
    const State state = scanner.scan(std::string_view(bytes).substr(0, size));
    if (state != State::kMore) return state;
  }
  return scanner.scan(bytes);
}

/// The status that a request with these fields is refused with; 0: none.
int refusal(const std::string& fields, const std::string& version = "1.1") {
  const std::string head = "POST / HTTP/" + version + "\r\nHost: x\r\n" + fields + "\r\n";
  boost::beast::http::request_parser<boost::beast::http::empty_body> parser;
  boost::system::error_code failed;
  parser.put(boost::asio::buffer(head), failed);
  if (failed) return 400;
  const auto fault = framing_fault(parser.get(), parser.get().version());
  return fault ? fault->status : 0;
}

TEST(HeadScanner, finds_the_end_however_the_bytes_come) {
  const std::string head = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  HeadScanner scanner(HeadFolds::kRefused);
  EXPECT_EQ(scan(scanner, head), State::kWhole);
  EXPECT_EQ(scanner.begin(), 0U);
  EXPECT_EQ(scanner.end(), head.size());
  HeadScanner at_once(HeadFolds::kRefused);
  EXPECT_EQ(at_once.scan(head + "body"), State::kWhole);
  EXPECT_EQ(at_once.end(), head.size());
}

TEST(HeadScanner, empty_lines_before_the_first_are_passed_over) {
  HeadScanner scanner(HeadFolds::kRefused);
  EXPECT_EQ(scan(scanner, "\r\n\r\nGET / HTTP/1.1\r\n\r\n"), State::kWhole);
  EXPECT_EQ(scanner.begin(), 4U);
  EXPECT_EQ(scanner.end(), 22U);
}

TEST(HeadScanner, what_two_readers_could_read_in_two_ways_is_bad) {
  for (const std::string& head :
       {std::string("GET / HTTP/1.1\nHost: x\r\n\r\n"), std::string("GET / HTTP/1.1\r\nA: b\n\n"),
        std::string("GET / HTTP/1.1\r\nA: b\rC: d\r\n\r\n"),
        std::string("GET / HTTP/1.1\r\nA: b\0c\r\n\r\n", 25),
        std::string("GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n"),
        std::string("GET / HTTP/1.1\r\n A: b\r\n\r\n"), std::string("\n\n")}) {
    HeadScanner scanner(HeadFolds::kRefused);
    EXPECT_EQ(scan(scanner, head), State::kBad) << head;
    EXPECT_NE(std::string(scanner.fault()).find("got "), std::string::npos);
  }
  HeadScanner lenient(HeadFolds::kTaken);
  EXPECT_EQ(scan(lenient, "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"), State::kWhole);
}

TEST(Framing, chunked_alone_or_a_length_alone) {
  EXPECT_EQ(refusal(""), 0);
  EXPECT_EQ(refusal("Content-Length: 5\r\n"), 0);
  EXPECT_EQ(refusal("Transfer-Encoding: chunked\r\n"), 0);
  EXPECT_EQ(refusal("transfer-encoding:  CHUNKED \r\n"), 0);
}

TEST(Framing, everything_else_is_refused) {
  for (const char* coding : {"identity", "gzip", "xchunked", "chunked, identity", "gzip, chunked",
                             "chunked;q=1", "chunked,", "\"chunked\"", "chunked, chunked", ""}) {
    const std::string field = std::string("Transfer-Encoding: ") + coding + "\r\n";
    EXPECT_GE(refusal(field), 400) << coding;
    EXPECT_EQ(refusal(field + "Content-Length: 5\r\n"), 400) << coding;
    EXPECT_EQ(refusal("Content-Length: 5\r\n" + field), 400) << coding;
  }
  EXPECT_EQ(refusal("Transfer-Encoding: gzip, chunked\r\n"), 501);
  EXPECT_EQ(refusal("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), 400);
  EXPECT_GE(refusal("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"), 400);
  EXPECT_EQ(refusal("Transfer-Encoding: chunked\r\n", "1.0"), 400);
  for (const char* fields :
       {"Content-Length: 5\r\nContent-Length: 6\r\n", "Content-Length: 5, 6\r\n",
        "Content-Length: +5\r\n", "Content-Length: -5\r\n", "Content-Length: 0x5\r\n",
        "Content-Length: 5 5\r\n", "Content-Length:\r\n",
        "Content-Length: 99999999999999999999\r\n", "Content-Length : 5\r\n"})
    EXPECT_EQ(refusal(fields), 400) << fields;
}

}  // namespace
}  // namespace pie::net
