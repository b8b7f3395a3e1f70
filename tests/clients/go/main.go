// Appendone records one event with nothing but the stubs generated from proto/ and a token, and prints the
// receipt as one line of JSON.
//
//	AUDITLOG_TOKEN=... appendone HOST:PORT
package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "appendone/auditd/v1"
)

// receipt is what the program prints.
type receipt struct {
	Index      uint64 `json:"index"`
	RecordedAt string `json:"recorded_at"`
	LeafHash   string `json:"leaf_hash"`
	Duplicate  bool   `json:"duplicate"`
	Leaf       string `json:"leaf"`
	Checkpoint string `json:"checkpoint"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, describe(err))
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 {
		return errors.New("usage: appendone HOST:PORT")
	}
	connection, err := grpc.NewClient(os.Args[1], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+os.Getenv("AUDITLOG_TOKEN"))

	response, err := pb.NewAuditLogServiceClient(connection).Append(ctx, &pb.AppendRequest{
		Events:       []*pb.Event{event(time.Now())},
		ReturnLeaves: true,
	})
	if err != nil {
		return err
	}
	first := response.GetReceipts()[0]
	return json.NewEncoder(os.Stdout).Encode(receipt{
		Index:      first.GetIndex(),
		RecordedAt: first.GetRecordedAt().AsTime().Format(time.RFC3339Nano),
		LeafHash:   hex.EncodeToString(first.GetLeafHash()),
		Duplicate:  first.GetDuplicate(),
		Leaf:       string(first.GetLeaf()),
		Checkpoint: response.GetCheckpoint(),
	})
}

func event(now time.Time) *pb.Event {
	return &pb.Event{
		Id:             fmt.Sprintf("go-%d", now.UnixNano()),
		Time:           timestamppb.New(now),
		Action:         "user.login",
		Outcome:        pb.Outcome_FAILURE,
		Reason:         "bad password",
		Actor:          &pb.Actor{Type: "user", Id: "zoë"},
		Resources:      []*pb.Resource{{Type: "account", Id: "42"}},
		Origin:         &pb.Origin{Ip: "203.0.113.9", UserAgent: "appendone"},
		Producer:       &pb.Producer{Id: "appendone", Seq: 1},
		AttributesJson: `{"amount":1.10}`,
	}
}

// describe adds the server's stable reason to an error.
func describe(err error) string {
	text := err.Error()
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			text += " (" + info.GetReason() + ")"
		}
	}
	return text
}
