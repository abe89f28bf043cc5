// franz-go or sarama against a hub: interop CLIENT HOST:PORT CODEC
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const count = 5000

func value(i int) string { return fmt.Sprintf("record number %d of interop", i) }

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func byFranz(address, codec, topic string) {
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	codecs := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
	client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.ProducerBatchCompression(codecs[codec]),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	check(err)
	defer client.Close()
	admin := kadm.NewClient(client)
	_, err = admin.CreateTopic(ctx, 1, 1, nil, topic)
	check(err)
	for i := 0; i < count; i++ {
		client.Produce(ctx, &kgo.Record{Topic: topic, Value: []byte(value(i))},
			func(_ *kgo.Record, err error) { check(err) })
	}
	check(client.Flush(ctx))
	for next := 0; next < count; {
		fetches := client.PollFetches(ctx)
		for _, failure := range fetches.Errors() {
			check(failure.Err)
		}
		fetches.EachRecord(func(record *kgo.Record) {
			if string(record.Value) != value(next) {
				log.Fatalf("record %d is %q", next, record.Value)
			}
			next++
		})
	}
	memberByFranz(ctx, address, topic)
	_, err = admin.DeleteTopics(ctx, topic)
	check(err)
}

// A member reads all, commits, and leaves; the next one finds nothing but what is new.
func memberByFranz(ctx context.Context, address, topic string) {
	for turn := 0; turn < 2; turn++ {
		member, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.ConsumerGroup(topic), kgo.ConsumeTopics(topic),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit())
		check(err)
		want, got := count, 0
		if turn > 0 {
			want = 1
			check(member.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("last")}).FirstErr())
		}
		for got < want {
			fetches := member.PollFetches(ctx)
			for _, failure := range fetches.Errors() {
				check(failure.Err)
			}
			got += fetches.NumRecords()
		}
		if got != want {
			log.Fatalf("%d records for %d", got, want)
		}
		check(member.CommitUncommittedOffsets(ctx))
		member.Close()
	}
}

func bySarama(address, codec, topic string) {
	codecs := map[string]sarama.CompressionCodec{"none": sarama.CompressionNone,
		"gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy,
		"lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD}
	config := sarama.NewConfig()
	config.Producer.Compression = codecs[codec]
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Return.Successes = true
	config.Producer.Idempotent = true
	config.Net.MaxOpenRequests = 1
	client, err := sarama.NewClient([]string{address}, config)
	check(err)
	defer client.Close()
	producer, err := sarama.NewSyncProducerFromClient(client)
	check(err)
	messages := []*sarama.ProducerMessage{}
	for i := 0; i < count; i++ {
		messages = append(messages, &sarama.ProducerMessage{Topic: topic,
			Value: sarama.StringEncoder(value(i))})
	}
	check(producer.SendMessages(messages))
	consumer, err := sarama.NewConsumerFromClient(client)
	check(err)
	partition, err := consumer.ConsumePartition(topic, 0, sarama.OffsetOldest)
	check(err)
	for i := 0; i < count; i++ {
		select {
		case message := <-partition.Messages():
			if string(message.Value) != value(i) {
				log.Fatalf("record %d is %q", i, message.Value)
			}
		case <-time.After(20 * time.Second):
			log.Fatalf("no record %d", i)
		}
	}
	check(partition.Close())
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	group, err := sarama.NewConsumerGroup([]string{address}, topic, config)
	check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	member := &saramaMember{done: cancel}
	if err = group.Consume(ctx, []string{topic}, member); err != nil && ctx.Err() == nil {
		check(err)
	}
	check(group.Close())
	if member.got != count {
		log.Fatalf("a member got %d records", member.got)
	}
}

type saramaMember struct {
	got  int
	done func()
}

func (m *saramaMember) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (m *saramaMember) Cleanup(sarama.ConsumerGroupSession) error { return nil }
func (m *saramaMember) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for message := range claim.Messages() {
		session.MarkMessage(message, "")
		if m.got++; m.got == count {
			m.done()
		}
	}
	return nil
}

func main() {
	client, address, codec := os.Args[1], os.Args[2], os.Args[3]
	topic := client + "-" + codec
	if client == "franz-go" {
		byFranz(address, codec, topic)
	} else {
		bySarama(address, codec, topic)
	}
	fmt.Println("all well")
}
